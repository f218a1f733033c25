// The service: requests, problems, and patience with a server that is busy.

import { byteFloats } from "./floats.js";

const KEY = "tonearm-key";
/** How often a request is sent in all, when the server says that it is busy. */
const TRIES = 12;
/** The longest wait between two tries, whatever the server says, in seconds. */
const LONGEST_WAIT = 30;

/** What went wrong with a request: of the server's own words (RFC 9457), or that there was no answer. */
export class Problem extends Error {
  /**
   * @param {{slug: string, status?: number, detail?: string, retryAfter?: number}} problem
   */
  constructor({ slug, status = 0, detail = "", retryAfter = 0 }) {
    super(detail || slug);
    this.name = "Problem";
    this.slug = slug;
    this.status = status;
    this.detail = detail;
    this.retryAfter = retryAfter;
  }
}

let key = sessionStorage.getItem(KEY);

/** Uses an API key from now on, in this tab. */
export function useKey(value) {
  key = value;
  sessionStorage.setItem(KEY, value);
}

async function send(path, options) {
  const headers = { ...options.headers };
  if (key) headers["X-API-Key"] = key;
  let response;
  try {
    response = await fetch(path, { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw new Problem({ slug: "unreachable", detail: String(error.message ?? error) });
  }
  if (response.ok) {
    try {
      return await response.json();
    } catch (error) {
      if (options.signal?.aborted) throw error;
      throw new Problem({ slug: "broken-body", status: response.status, detail: String(error.message ?? error) });
    }
  }
  const said = await response.json().catch(() => ({}));
  throw new Problem({
    slug: String(said.type ?? "").replace(/^.*\//, "") || "unknown",
    status: response.status,
    detail: said.detail ?? said.title ?? `HTTP ${response.status}`,
    retryAfter: Number(response.headers.get("Retry-After")) || 0,
  });
}

/** Waits, unless the signal fires, which throws. */
function wait(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/**
 * Sends a song and gives the answer; a server that answers 503 is asked again when it said.
 *
 * The body is the bytes alone: not even the file's name leaves the browser.
 * @param {string} path
 * @param {Blob} file
 * @param {{signal?: AbortSignal, onWait?: (seconds: number) => void, onSend?: () => void}} [options]
 */
export async function ask(path, file, { signal, onWait, onSend } = {}) {
  for (let tries = 1; ; tries += 1) {
    try {
      onSend?.();
      return await send(path, {
        method: "POST",
        body: file,
        headers: { "Content-Type": "application/octet-stream" },
        signal,
      });
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 503 || tries === TRIES) throw problem;
      const seconds = Math.min(LONGEST_WAIT, problem.retryAfter || 2 ** (tries - 1));
      onWait?.(seconds);
      await wait(seconds, signal);
    }
  }
}

/** `GET /v1/models`: every model as it stands. */
export const models = async () => (await send("/v1/models", {})).models;

/** Log-mel and waveform of a song, with `Float32Array`s in them. */
export async function features(file, options) {
  const answer = await ask("/features?include=log_mel,waveform&encoding=base64", file, options);
  const { log_mel: logMel, waveform } = answer;
  return {
    audio: answer.audio,
    logMel: { ...logMel, values: byteFloats(logMel.values) },
    waveform: { ...waveform, min: byteFloats(waveform.min), max: byteFloats(waveform.max) },
  };
}

/** What VGG19 listened to for a label, or for its own answer (`predicted`). */
export async function explanation(file, label, options) {
  const { explanation: map } = await ask(`/vgg?explain=${encodeURIComponent(label)}`, file, options);
  return { ...map, values: byteFloats(map.values) };
}
