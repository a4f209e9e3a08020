// Talking to the server: every write carries an Idempotency-Key and is repeated under the same key until it is answered,
// so a move of the database is a short wait and never a second post. Nothing here touches the page.

const PATIENCE_MS = 20000;
const AGAIN = new Set([502, 503, 504]);

export class Failure extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

function key() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

async function once(method, path, headers, body) {
  const response = await fetch(path, { method, headers, body, credentials: 'same-origin', cache: 'no-store' });
  if (AGAIN.has(response.status)) throw new TypeError('not now');
  const answer = await response.json();
  if (!response.ok) throw new Failure(response.status, answer.error.code, answer.error.message);
  return answer;
}

export async function call(method, path, { json, file, waiting } = {}) {
  const headers = {};
  if (method !== 'GET') headers['Idempotency-Key'] = key();
  if (json !== undefined) headers['Content-Type'] = 'application/json';
  if (file) headers['Content-Type'] = file.type;
  const body = json !== undefined ? JSON.stringify(json) : file;
  const end = Date.now() + PATIENCE_MS;
  for (let wait = 250; ; wait = Math.min(2 * wait, 2000)) {
    try {
      return await once(method, path, headers, body);
    } catch (failure) {
      if (failure instanceof Failure || Date.now() + wait > end) throw failure;
      if (waiting) waiting();
      await pause(wait);
    }
  }
}
