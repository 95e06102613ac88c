// What the page says of the connection, and what to do about it: {short, title, text}. short stands in the bar; title and
// text, where there are any, in the notice below it.

const seconds = (at) => Math.max(0, Math.ceil((at - Date.now()) / 1000));

export function userOf(session) {
  if (session.operator) return 'the operator: every event';
  if (session.test) return 'TEST: sample events only';
  return `user ${session.userId}`;
}

// Why the session ended, of the words that a close frame carries, or the codes where a proxy took the words away.
function whyWaiting({ code, reason, detail, ready, attempts }) {
  if (reason === 'journal') return { title: 'The journal is another one', text: 'The database was restored, or failed over with a loss. The relay has to be asked anew.' };
  if (code === 1012) return { title: 'The relay is restarting', text: 'This page goes on from the last event that it saw.' };
  if (code === 4408) return { title: 'This page was too slow', text: 'It did not take its events for a while. It goes on from the last one that it saw.' };
  if (code === 4429) return { title: 'Too many sessions or messages', text: 'The relay limits them for each user and address (MAX_SESSIONS_PER_USER, MAX_SESSIONS_PER_ADDRESS, MAX_MESSAGES_PER_SECOND). Close other tabs, or wait.' };
  if (code === 1013) return { title: 'The relay cannot reach its database', text: detail ?? 'It answers again as soon as the database does.' };
  if (ready?.status === 503) return { title: 'The relay is not ready', text: `${ready.message ?? 'Its /ready answers 503.'} This page connects as soon as it is.` };
  if (ready?.status === 200 && attempts > 2) { // it may have come up just now
    return {
      title: 'The relay is there, but its websocket is not',
      text: 'It answers /ready and closes /ws. A proxy in between must pass on Upgrade, and the Host that this page was asked for; CORS_ORIGIN may name this page’s origin.',
    };
  }
  if (ready?.status === 0) return { title: 'The relay cannot be reached', text: 'It is stopped or restarting, or the network is away. This page goes on from the last event that it saw.' };
  if (reason === 'silent') return { title: 'The relay fell silent', text: 'The network may be gone. This page goes on from the last event that it saw.' };
  return { title: 'The connection was lost', text: 'This page goes on from the last event that it saw.' };
}

function whyRefused({ code, reason, detail, was, test }) {
  if (code === 4400) {
    return { title: 'The relay did not understand this page', text: `${detail ?? 'A message or topic was refused.'} Reload the page; if it happens again, page and relay are of different versions.` };
  }
  if (reason === 'expired') return { title: 'The token has expired', text: 'A JSON Web Token ends at its “exp”. Get a new one and connect again.' };
  if (reason === 'revoked') return { title: 'The token was revoked', text: 'It is no longer in the token table, or belongs to another user now. Get a new one and connect again.' };
  if (reason === 'key-gone') return { title: 'The key behind this token was replaced', text: 'The relay has a new signing key or SECURITY_TOKEN. Get a new token and connect again.' };
  if (reason === 'auth-timeout') return { title: 'The token came too late', text: 'The relay waits AUTH_TIMEOUT for it. Connect again.' };
  if (test) return { title: 'This relay does not accept the TEST token', text: 'In production it is off unless ALLOW_TEST_TOKEN says otherwise. Connect with a token of your own.' };
  if (was) return { title: 'The relay ended this session', text: 'The token is no longer accepted. Get a new one and connect again.' };
  return {
    title: 'The relay refused this token',
    text: 'Look for a slip in copying. It must be in exactly one row of the token table (AUTH_TABLE), or be a JSON Web Token that is signed with the configured key and not past its “exp”. The relay’s log says more with LOG_LEVEL=debug.',
  };
}

export function describe(state) {
  switch (state.name) {
    case 'connecting': return { ...(state.ready?.status === 503 ? whyWaiting(state) : {}), short: state.again ? 'Reconnecting…' : 'Connecting…' };
    case 'live': return { short: 'Live' };
    case 'stalled': return { title: 'The relay is not ready', text: `What is committed meanwhile arrives as soon as it is. ${state.ready.message ?? 'Its /ready answers 503.'}`, short: 'No events now' };
    case 'waiting': return { ...whyWaiting(state), short: `Reconnecting in ${seconds(state.at)} s` };
    case 'refused': return { ...whyRefused(state), short: 'Refused' };
    default: return { short: 'Not connected' };
  }
}

// How a resume went: {good, title, text}.
export function describeGap({ recovered, from }, session) {
  if (recovered) {
    const none = session.id === from.id;
    return { good: true, title: 'Reconnected, nothing missed', text: none ? 'Nothing happened meanwhile.' : `The events after id ${from.id} that you may see are marked “caught up”.` };
  }
  let why = `The relay no longer keeps what came after id ${from.id} (RETENTION).`;
  if (session.journal !== from.journal) why = `The relay has another journal now (${session.journal}, it was ${from.journal}): the database was restored, recreated, or failed over with a loss.`;
  else if (BigInt(session.id) < BigInt(from.id)) why = `The relay’s newest id is ${session.id}, behind ${from.id} which was seen here: the database lost its last changes.`;
  return { good: false, title: 'Events were missed', text: `${why} What happened in between cannot be shown; fetch your state anew.` };
}
