// The page: three views behind the hash, drawn with textContent only, so that nothing a person writes can become markup.

import { call, Failure } from '/api.js';

const main = document.getElementById('main');
const notice = document.getElementById('notice');
const nav = document.getElementById('nav');
let me = null;

const part = (id) => document.getElementById(id).content.firstElementChild.cloneNode(true);

function say(text, forMs = 0) {
  notice.textContent = text;
  notice.hidden = !text;
  if (forMs) setTimeout(() => { if (notice.textContent === text) say(''); }, forMs);
}

const reach = (method, path, more = {}) =>
  call(method, path, { ...more, waiting: () => say('One moment, connecting again…') })
    .then((answer) => { say(''); return answer; });

function complain(failure) {
  if (failure instanceof Failure && failure.status === 401 && failure.code === 'not-signed-in') {
    me = null;
    show();
  } else {
    say(failure instanceof Failure ? failure.message : 'No connection. Try again in a moment.', 8000);
  }
}

async function during(button, work) {
  button.disabled = true;
  try { await work(); } catch (failure) { complain(failure); } finally { button.disabled = false; }
}

function face(element, name) {
  element.textContent = name[0].toUpperCase();
  element.classList.add('h' + [...name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 6);
}

function ago(text) {
  const seconds = Math.max(0, (Date.now() - Date.parse(text)) / 1000);
  if (seconds < 60) return 'now';
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return new Date(text).toLocaleDateString();
}

function post(data) {
  const card = part('t-post');
  const find = (selector) => card.querySelector(selector);
  face(find('.face'), data.author);
  find('.author').textContent = data.author;
  find('.author').href = `#/@${data.author}`;
  find('time').textContent = ago(data.published_at);
  find('time').dateTime = data.published_at;
  find('.body').textContent = data.body;
  if (data.media) {
    find('.picture').src = `/api/media/${data.media}`;
    find('.picture').alt = `Picture by ${data.author}`;
    find('.picture').hidden = false;
  }
  const like = find('.like');
  const draw = () => {
    like.setAttribute('aria-pressed', String(data.liked));
    like.setAttribute('aria-label', `${data.liked ? 'Unlike' : 'Like'}, ${data.likes} so far`);
    find('.count').textContent = data.likes || '';
  };
  draw();
  like.addEventListener('click', () => during(like, async () => {
    const liked = !data.liked;
    await reach(liked ? 'PUT' : 'DELETE', `/api/posts/${data.id}/like`);
    data.liked = liked;
    data.likes += liked ? 1 : -1;
    draw();
  }));
  return card;
}

function hint(text) {
  const empty = document.createElement('p');
  empty.className = 'empty';
  empty.textContent = text;
  return empty;
}

const list = (posts, nothing) => (posts.length ? posts.map(post) : [hint(nothing)]);

function composer() {
  const form = part('t-composer');
  const text = form.elements.body;
  const input = form.querySelector('input[type=file]');
  const chosen = form.querySelector('#chosen');
  const picture = chosen.querySelector('img');
  const choose = () => {
    URL.revokeObjectURL(picture.src);
    chosen.hidden = !input.files.length;
    if (input.files.length) picture.src = URL.createObjectURL(input.files[0]);
  };
  text.addEventListener('input', () => { form.querySelector('#left').textContent = 1000 - text.value.length; });
  input.addEventListener('change', choose);
  chosen.querySelector('button').addEventListener('click', () => { input.value = ''; choose(); });
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    during(form.querySelector('.primary'), async () => {
      const file = input.files[0];
      const media = file ? (await reach('POST', '/api/media', { file })).id : null;
      const made = await reach('POST', '/api/posts', { json: { body: text.value, ...(media ? { media } : {}) } });
      form.after(post({ ...made, author: me.name, body: text.value, media, published_at: made.created_at, likes: 0, liked: false }));
      main.querySelector('.empty')?.remove();
      form.reset();
      choose();
      form.querySelector('#left').textContent = 1000;
    });
  });
  return form;
}

function welcome() {
  const card = part('t-welcome');
  const form = card.querySelector('form');
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    during(event.submitter, async () => {
      const json = { name: form.elements.name.value, password: form.elements.password.value };
      if (event.submitter.value === 'up') await reach('POST', '/api/accounts', { json });
      await reach('POST', '/api/sessions', { json });
      me = await reach('GET', '/api/me');
      location.hash = '#/home';
      await show();
    });
  });
  return [card];
}

async function home() {
  const { posts } = await reach('GET', '/api/timeline?limit=50');
  if (me.unread) await reach('PUT', '/api/timeline/seen');
  return [composer(), ...list(posts, 'Nothing here yet. Find people under Latest and follow them.')];
}

async function latest() {
  const { posts } = await reach('GET', '/api/latest?limit=50');
  return list(posts, 'Nobody has written anything yet. Be the first.');
}

async function person(name) {
  const page = await reach('GET', `/api/accounts/${encodeURIComponent(name)}`);
  const card = part('t-person');
  face(card.querySelector('.face'), page.name);
  card.querySelector('h1').textContent = page.display_name;
  card.querySelector('p').textContent = `@${page.name} · ${page.followers} ${page.followers === 1 ? 'follower' : 'followers'} · follows ${page.follows}`;
  const button = document.createElement('button');
  if (page.name === me.name) {
    button.textContent = 'Sign out';
    button.addEventListener('click', () => during(button, async () => {
      await reach('DELETE', '/api/sessions');
      me = null;
      await show();
    }));
  } else {
    const draw = () => {
      button.textContent = page.followed ? 'Following' : 'Follow';
      button.className = page.followed ? '' : 'primary';
    };
    draw();
    button.addEventListener('click', () => during(button, async () => {
      await reach(page.followed ? 'DELETE' : 'PUT', `/api/follows/${page.name}`);
      page.followed = !page.followed;
      draw();
    }));
  }
  card.querySelector('.row').append(button);
  return [card, ...list(page.posts, 'No posts yet.')];
}

function view() {
  const path = decodeURIComponent(location.hash.slice(2));
  if (!me) return ['welcome', welcome];
  if (path.startsWith('@')) return ['person', () => person(path.slice(1))];
  if (path === 'me') return ['person', () => person(me.name)];
  return path === 'latest' ? ['latest', latest] : ['home', home];
}

async function show() {
  const [name, draw] = view();
  nav.hidden = !me;
  for (const link of nav.children) {
    const here = link.dataset.view === name && (name !== 'person' || [`#/me`, `#/@${me.name}`].includes(location.hash));
    if (here) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  try {
    main.replaceChildren(...await draw());
  } catch (failure) {
    complain(failure);
  }
}

async function start() {
  try {
    me = await reach('GET', '/api/me');
  } catch (failure) {
    if (!(failure instanceof Failure)) {
      // Not signed out, only out of reach: no sign-in form for that.
      main.replaceChildren(hint('No connection. Lantern goes on by itself when it is back.'));
      setTimeout(start, 5000);
      return;
    }
  }
  say('');
  await show();
}

window.addEventListener('hashchange', show);
window.addEventListener('offline', () => say('You are offline.'));
window.addEventListener('online', () => { say(''); start(); });
start();
if ('serviceWorker' in navigator) navigator.serviceWorker.register('/service-worker.js');
