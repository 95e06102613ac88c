// The HTTP interface of consumers, as a service uses it: with the operator's token.
import assert from 'node:assert/strict';
import { request } from './clients.mjs';

export class Consumers {
  constructor(relay, token = relay.options.env.SECURITY_TOKEN) {
    this.relay = relay;
    this.token = token;
  }

  // Any request; body: an object, or text as it is.
  ask(method, path, body, { timeout } = {}) {
    return request(this.relay.origin + path, {
      method, timeout, headers: this.token ? { authorization: `Bearer ${this.token}` } : {},
      body: body === undefined || typeof body === 'string' ? body : JSON.stringify(body),
    });
  }

  async good(status, ...question) {
    const answer = await this.ask(...question);
    assert.equal(answer.status, status, `${question.slice(0, 2).join(' ')}: ${answer.text.slice(0, 300)}`);
    return status === 204 ? undefined : answer.json;
  }

  register(name, body = {}) { return this.good(201, 'PUT', `/consumers/${name}`, body); }
  replace(name, body) { return this.good(200, 'PUT', `/consumers/${name}`, body); }
  get(name) { return this.good(200, 'GET', `/consumers/${name}`); }
  list() { return this.good(200, 'GET', '/consumers'); }
  remove(name) { return this.good(204, 'DELETE', `/consumers/${name}`); }
  poll(name, body = {}, options) { return this.good(200, 'POST', `/consumers/${name}/poll`, body, options); }
  mark(name, id, outcome = 'completed') { return this.good(200, 'POST', `/consumers/${name}/mark`, { id, outcome }); }
  watch(id) { return this.good(200, 'GET', `/events/${id}/watch`); }
}
