// Elements. Text is always a text node: nothing that a row holds becomes markup, and the page's policy (Trusted Types)
// would refuse it if it tried.

export const $ = (id) => document.getElementById(id);

// el('button', {class: 'quiet', onclick}, 'Copy'): strings that are attributes are set as such, functions listen.
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== undefined && child !== null));
  return element;
}

export function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Into the clipboard; plain http has no navigator.clipboard except on localhost.
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = el('textarea', { class: 'offscreen', readonly: true, 'aria-hidden': 'true' });
    const before = document.activeElement;
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand('copy');
    area.remove();
    before?.focus();
    return copied;
  }
}

// Says on the button itself that it was done.
export async function copyWith(button, text) {
  const before = button.dataset.label ?? button.textContent;
  button.dataset.label = before;
  say(button, await copyText(text) ? 'Copied' : 'Not allowed');
  clearTimeout(button.restore);
  button.restore = setTimeout(() => say(button, before), 1500);
}

// What may be away: a browser can forbid storage.
export function stored(store, key, value) {
  try {
    const storage = window[store];
    if (value === undefined) return storage.getItem(key);
    if (value === null) storage.removeItem(key);
    else storage.setItem(key, value);
  } catch {
    // then it is not remembered
  }
  return null;
}
