// Keeps the shell and the pictures, so that the installed app opens without a network. Never keeps an answer of the API.

const SHELL = 'shell-2';
const PICTURES = 'pictures-1';
const FILES = ['/', '/app.css', '/app.js', '/api.js', '/icon.svg', '/icon-192.png', '/manifest.webmanifest', '/offline.html'];

self.addEventListener('install', (event) => {
  event.waitUntil(caches.open(SHELL).then((cache) => cache.addAll(FILES)).then(() => self.skipWaiting()));
});

self.addEventListener('activate', (event) => {
  const old = (name) => name !== SHELL && name !== PICTURES;
  event.waitUntil(caches.keys().then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name)))));
});

async function networkFirst(request) {
  const cache = await caches.open(SHELL);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(request, response.clone());
    return response;
  } catch (failure) {
    const kept = await cache.match(request, { ignoreSearch: true });
    if (kept) return kept;
    if (request.mode === 'navigate') return cache.match('/offline.html');
    throw failure;
  }
}

async function cacheFirst(request) {
  const cache = await caches.open(PICTURES);
  const kept = await cache.match(request);
  if (kept) return kept;
  const response = await fetch(request);
  if (response.status === 200) await cache.put(request, response.clone());
  return response;
}

self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== self.location.origin) return;
  if (url.pathname.startsWith('/api/media/')) event.respondWith(cacheFirst(request));
  else if (request.mode === 'navigate' || FILES.includes(url.pathname)) event.respondWith(networkFirst(request));
});
