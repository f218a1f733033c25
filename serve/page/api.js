// The API: requests, problems, and retries while the server is busy.

import { byteFloats } from "./floats.js";

const KEY = "tonearm-key";
/** How often a request is sent in all while the server is busy. */
const MAX_ATTEMPTS = 12;
/** The longest wait between two attempts, whatever the server requests, in seconds. */
const MAX_WAIT = 30;

/** Why a request failed: the server's problem document (RFC 9457), or that there was no response. */
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
    /** Bytes of the file that the request was about; 0 while unknown. */
    this.size = 0;
    /** @type {import("./models.js").Limits | null} what the server takes, as far as it says so */
    this.limits = null;
  }

  /** The same about a file of `size` bytes, and a server with these limits. */
  about(size, limits) {
    return Object.assign(this, { size, limits });
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
  const body = await response.json().catch(() => ({}));
  throw new Problem({
    slug: String(body.type ?? "").replace(/^.*\//, "") || "unknown",
    status: response.status,
    detail: body.detail ?? body.title ?? `HTTP ${response.status}`,
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
 * Sends a track and returns the response; after 503 it is sent again when the server says.
 *
 * The body is the bytes alone: not even the file's name leaves the browser.
 * @param {string} path
 * @param {Blob} file
 * @param {{signal?: AbortSignal, onWait?: (seconds: number) => void, onSend?: () => void}} [options]
 */
export async function post(path, file, { signal, onWait, onSend } = {}) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      onSend?.();
      return await send(path, {
        method: "POST",
        body: file,
        headers: { "Content-Type": "application/octet-stream" },
        signal,
      });
    } catch (problem) {
      if (!(problem instanceof Problem) || problem.status !== 503 || attempt === MAX_ATTEMPTS) throw problem;
      const seconds = Math.min(MAX_WAIT, problem.retryAfter || 2 ** (attempt - 1));
      onWait?.(seconds);
      await wait(seconds, signal);
    }
  }
}

/** `GET /v1/models`: the status of every model. */
export const models = async () => (await send("/v1/models", {})).models;

/** Log-mel and waveform of a track, as `Float32Array`s. */
export async function features(file, options) {
  const response = await post("/features?include=log_mel,waveform&encoding=base64", file, options);
  const { log_mel: logMel, waveform } = response;
  return {
    audio: response.audio,
    logMel: { ...logMel, values: byteFloats(logMel.values) },
    waveform: { ...waveform, min: byteFloats(waveform.min), max: byteFloats(waveform.max) },
  };
}

/** The Grad-CAM map of a network for a label, or for the predicted one (`predicted`). */
export async function explanation(path, file, label, options) {
  const { explanation: map } = await post(`${path}?explain=${encodeURIComponent(label)}`, file, options);
  return { ...map, values: byteFloats(map.values) };
}
