// tools/load.c, driven from here: open(), warm(), run(), storm(), each with its answer. What did not arrive, or twice, or out of turn, is an error:
// a server that loses is not measured.
import { Program } from './process.mjs';
import { within } from '../../e2e/lib/wait.mjs';

export class Load {
  constructor(tools) {
    this.program = new Program('client', [`${tools}/load`]);
    this.program.lines.on('line', (line) => this.answer?.(JSON.parse(line)));
  }

  // A burst to ten thousand is a million deliveries: a slow server has minutes for it. Whether it still sends is load.c's to notice.
  async ask(name, words = {}, timeout = 900_000) {
    const answer = new Promise((resolve, reject) => {
      this.answer = resolve;
      this.program.exited.then(() => reject(new Error(`the load client ended: ${this.program.log}`)));
    });
    const text = Object.entries(words).filter(([, value]) => value !== undefined && value !== false)
      .map(([key, value]) => `${key}=${String(value === true ? 1 : value).replaceAll('\r', '\\r').replaceAll('\n', '\\n')}`);
    this.program.child.stdin.write(`${[name, ...text].join('\t')}\n`);
    return within(answer, () => `the load client's answer to ${name}; its log: ${this.program.log}`, timeout);
  }

  async open(words) {
    const answer = await this.ask('open', words);
    if (answer.ready !== Number(words.n)) throw new Error(`${answer.ready} of ${words.n} clients got in: ${this.program.log}`);
    this.per = words.per ?? 1;
    return answer;
  }

  async warm() {
    const { all, seq } = await this.ask('warm');
    if (!all) throw new Error('an event did not come to all clients');
    return seq;
  }

  async #complete(name, words) {
    const answer = await this.ask(name, words);
    if (answer.deliveries !== answer.expected || answer.gaps || answer.repeats || answer.failed) {
      throw new Error(`${name} ${JSON.stringify(words)}: not what was published: ${JSON.stringify(answer)}; ${this.program.log}`);
    }
    return { ...answer, events: answer.deliveries / this.per };
  }

  run(words) {
    return this.#complete('run', words);
  }

  storm(words) {
    return this.#complete('storm', words);
  }

  async stop() {
    this.program.child.stdin.end();
    await this.program.exited;
  }
}
