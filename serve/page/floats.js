// Numbers as the API writes them: base64 of little-endian f32.

/**
 * @param {string} text base64
 * @returns {Float32Array}
 */
export function byteFloats(text) {
  const characters = atob(text);
  const bytes = new Uint8Array(characters.length);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = characters.charCodeAt(at);
  const view = new DataView(bytes.buffer);
  const floats = new Float32Array(bytes.length >> 2);
  for (let at = 0; at < floats.length; at += 1) floats[at] = view.getFloat32(4 * at, true);
  return floats;
}
