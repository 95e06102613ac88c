// Prevents: a relay that gives its password, or believes what it is told, to whoever stands between it and the MySQL server; and
// one that refuses the right server, or does not say why it refuses one.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { Scope, test } from './lib/harness.mjs';
import { MySql } from './lib/mysql.mjs';
import { runToEnd, startRelay } from './lib/relay.mjs';
import { until } from './lib/wait.mjs';
import { operator } from './source/suite.mjs';

const scope = new Scope();
let folder, server;
const openssl = (...args) => execFileSync('openssl', args, { stdio: 'ignore', cwd: folder });

function authority(name) {
  openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-addext', 'basicConstraints=critical,CA:TRUE',
    '-keyout', `${name}.key`, '-out', `${name}.pem`);
  return join(folder, `${name}.pem`);
}

// For localhost, not for 127.0.0.1.
before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'esink-ca-'));
  scope.defer(() => rmSync(folder, { recursive: true }));
  authority('ours');
  authority('theirs');
  writeFileSync(join(folder, 'names'), 'subjectAltName=DNS:localhost\n');
  openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=localhost', '-keyout', 'server.key', '-out', 'server.csr');
  openssl('x509', '-req', '-in', 'server.csr', '-CA', 'ours.pem', '-CAkey', 'ours.key', '-CAcreateserial', '-days', '2', '-extfile', 'names', '-out', 'server.pem');
  server = new MySql({ settings: { 'ssl-cert': join(folder, 'server.pem'), 'ssl-key': join(folder, 'server.key') } });
  scope.defer(() => server.remove());
  await server.start();
});
after(() => scope.end());
const pem = (name) => join(folder, `${name}.pem`);

async function connects(t, env, secure = true) {
  const db = await server.database(t, 'CREATE TABLE things (id int PRIMARY KEY)');
  if (secure) await db.query("CREATE OR REPLACE USER careful IDENTIFIED BY 'c' REQUIRE SSL; GRANT ALL ON *.* TO careful");
  const account = secure ? { MYSQL_USERNAME: 'careful', MYSQL_PASSWORD: 'c' } : {};
  const relay = await startRelay(t, db, { tables: 'things', env: { SECURITY_TOKEN: operator, ...account, ...env } });
  const boss = await relay.operator();
  await db.query('INSERT INTO things VALUES (1)');
  await relay.fence(boss);
  assert.equal(boss.events[0].table, 'things');
}

async function refused(t, env, sentence) {
  const db = await server.database(t);
  const relay = await startRelay(t, db, { ready: false, env });
  await until(async () => sentence.test((await relay.get('/ready')).json.message), () => `${sentence}; ${relay.log}`);
  await relay.stop();
}

test('the right authority and the right name: the relay works, and all it asks is encrypted', async (t) => {
  await connects(t, { MYSQL_HOST: 'localhost', MYSQL_SSL_CA: pem('ours') });
  await connects(t, { MYSQL_HOST: 'localhost', MYSQL_SSL_CA: pem('ours'), MYSQL_SSL_MODE: 'verify_identity' });
});

test('another authority, or none that is known: refused, with a line that says so', async (t) => {
  const wrong = /MYSQL_SSL_CA, MYSQL_SSL_MODE: .*certificate/i;
  await refused(t, { MYSQL_HOST: 'localhost', MYSQL_SSL_CA: pem('theirs') }, wrong);
  await refused(t, { MYSQL_HOST: 'localhost', MYSQL_SSL_CA: pem('theirs'), MYSQL_SSL_MODE: 'verify_ca' }, wrong);
  await refused(t, { MYSQL_HOST: 'localhost', MYSQL_SSL_MODE: 'verify_identity' }, wrong);
});

test('the certificate is for another name: refused, unless only the authority is asked for', async (t) => {
  await refused(t, { MYSQL_HOST: '127.0.0.1', MYSQL_SSL_CA: pem('ours') }, /MYSQL_SSL_CA, MYSQL_SSL_MODE: .*(host ?name|match|certificate)/i);
  await connects(t, { MYSQL_HOST: '127.0.0.1', MYSQL_SSL_CA: pem('ours'), MYSQL_SSL_MODE: 'verify_ca' });
});

test('required, without a look at the certificate; disabled; a server without TLS is refused where it is asked for', async (t) => {
  await connects(t, { MYSQL_SSL_MODE: 'required' });
  await connects(t, { MYSQL_SSL_MODE: 'disabled' }, false);
  await connects(t, {}, false);
  await server.halt();
  server.settings = { ...server.settings, 'skip-ssl': 1 };
  delete server.settings['ssl-cert'];
  delete server.settings['ssl-key'];
  await server.resume();
  await refused(t, { MYSQL_SSL_MODE: 'required' }, /MYSQL_SSL_MODE.*TLS/);
  await refused(t, { MYSQL_HOST: 'localhost', MYSQL_SSL_CA: pem('ours') }, /MYSQL_SSL_(CA|MODE).*(TLS|SSL)/);
  await connects(t, {}, false);
});

test('a file that is not there, a mode that is none: said at the start', async (t) => {
  const db = await server.database(t);
  for (const [env, sentence] of [[{ MYSQL_SSL_CA: '/nowhere.pem' }, /MYSQL_SSL_CA.*readable/], [{ MYSQL_SSL_MODE: 'maybe' }, /MYSQL_SSL_MODE/], [{ MYSQL_SSL_MODE: 'verify_ca' }, /MYSQL_SSL_CA/]]) {
    const { code, log } = await runToEnd(t, { db, env });
    assert.notEqual(code, 0);
    assert.match(log, sentence);
  }
});
