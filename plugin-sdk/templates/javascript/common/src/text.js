// Bytes to text and back: QuickJS has no `TextDecoder`.

/** UTF-8, or Latin-1 where it is not UTF-8. */
export function decode(bytes) {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  try {
    return decodeURIComponent(escape(text));
  } catch {
    return text;
  }
}

export function encode(text) {
  return Uint8Array.from(unescape(encodeURIComponent(text)), (character) => character.charCodeAt(0));
}
