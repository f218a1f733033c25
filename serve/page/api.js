// The API: requests, problems, and retries while the server is busy.

import { byteFloats } from "./floats.js";

const KEY = "tonearm-key";
/** The server, wherever a proxy has put it: this file is `page/api.js` below it. */
const ROOT = new URL("..", import.meta.url);
/** Statuses of a server that has too much to do. */
const BUSY = [429, 503];
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

/** What a status means where there is no document: a proxy in front of the server has none. */
const KINDS = {
  401: "unauthorized", 413: "body-too-large", 429: "busy", 502: "backend-unavailable", 503: "busy", 504: "backend-timeout",
};

/** The problem that a document of the server describes, as far as there is one. */
function problemOf(document, status, retryAfter = 0) {
  const slug = String(document?.type ?? "").replace(/^.*\//, "") || KINDS[status] || "unknown";
  return new Problem({ slug, status, detail: document?.detail ?? document?.title ?? `HTTP ${status}`, retryAfter });
}

/** Statuses below 500 whose cause is not the file: the key, the connection, and the number of requests. */
const PASSING = [401, 408, 429];

/** Whether the same request may succeed later, since the fault was the network's or the server's. @param {Problem} problem */
export const mayPass = ({ slug, status }) =>
  status < 400 || status >= 500 || PASSING.includes(status) || slug === "broken-body";

/** The address of a route, which begins with a slash. */
const address = (path) => new URL(`.${path}`, ROOT);

let key = sessionStorage.getItem(KEY);

/** Uses an API key from now on, in this tab. */
export function useKey(value) {
  key = value;
  sessionStorage.setItem(KEY, value);
}

/**
 * Sends a request and returns the JSON of its response. `XMLHttpRequest`, because `fetch` does not tell how much of a body was sent.
 * @param {string} path
 * @param {{method?: string, body?: Blob | null, signal?: AbortSignal, onUpload?: (share: number) => void}} [options]
 *   `onUpload` gets the share of the body that was sent, 0 to 1
 * @returns {Promise<any>}
 */
function send(path, { method = "GET", body = null, signal, onUpload } = {}) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const request = new XMLHttpRequest();
    request.open(method, address(path));
    request.responseType = "json";
    request.setRequestHeader("Cache-Control", "no-store");
    if (body) request.setRequestHeader("Content-Type", "application/octet-stream");
    if (key) request.setRequestHeader("X-API-Key", key);
    const abort = () => request.abort();
    signal?.addEventListener("abort", abort);
    request.upload.onprogress = ({ loaded, total }) => total > 0 && onUpload?.(loaded / total);
    request.onabort = () => reject(signal?.reason);
    request.onerror = () => reject(new Problem({ slug: "unreachable" }));
    request.onload = () => {
      const { status, response } = request;
      if (status >= 200 && status < 300) {
        return response ? resolve(response) : reject(new Problem({ slug: "broken-body", status }));
      }
      reject(problemOf(response, status, Number(request.getResponseHeader("Retry-After")) || 0));
    };
    request.onloadend = () => signal?.removeEventListener("abort", abort);
    // Listeners on the upload have to be there before it begins.
    request.send(body);
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
 * Sends a track and returns the response. While the server is busy (429, 503) it is sent again when the server says.
 *
 * The body is the bytes alone: not even the file's name leaves the browser.
 * @param {string} path
 * @param {Blob} file
 * @param {{signal?: AbortSignal, onWait?: (seconds: number) => void, onSend?: () => void, onUpload?: (share: number) => void}} [options]
 */
async function post(path, file, { signal, onWait, onSend, onUpload } = {}) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      onSend?.();
      return await send(path, { method: "POST", body: file, signal, onUpload });
    } catch (problem) {
      if (!(problem instanceof Problem) || !BUSY.includes(problem.status) || attempt === MAX_ATTEMPTS) throw problem;
      const seconds = Math.min(MAX_WAIT, problem.retryAfter || 2 ** (attempt - 1));
      onWait?.(seconds);
      await wait(seconds, signal);
    }
  }
}

/** `GET /v1/models`: the status of every model. */
export const models = async () => (await send("/v1/models")).models;

/** The query for what `readFeatures` reads. */
const FEATURES = "include=log_mel,waveform&encoding=base64";

/** Log-mel and waveform of a response, as `Float32Array`s. */
const readFeatures = ({ audio, log_mel: logMel, waveform }) => ({
  audio,
  logMel: { ...logMel, values: byteFloats(logMel.values) },
  waveform: { ...waveform, min: byteFloats(waveform.min), max: byteFloats(waveform.max) },
});

/** Of a part of a response its answer, as `read` gives it, or its `Problem`. */
const part = ({ answer, problem }, read) => (answer ? read(answer) : problemOf(problem, problem?.status ?? 500));

/**
 * What several models predict of a track, and its log-mel and waveform, with one upload.
 * @param {Blob} file
 * @param {string[]} names of the models
 * @param {boolean} hasFeatures
 * @param {Parameters<typeof post>[2]} options
 * @returns {Promise<{predictions: Map<string, any>, features: any}>} a prediction by the name of its model; for what there is none of, a `Problem`
 */
export async function analyse(file, names, hasFeatures, options) {
  if (names.length === 0) return { predictions: new Map(), features: readFeatures(await post(`/features?${FEATURES}`, file, options)) };
  const models = `models=${names.map(encodeURIComponent).join(",")}`;
  const response = await post(`/v1/predict?${[models, ...(hasFeatures ? [FEATURES] : [])].join("&")}`, file, options);
  const predictions = new Map(names.map((name) => [name, part(response.predictions[name] ?? {}, (answer) => answer)]));
  return { predictions, features: hasFeatures ? part(response.features ?? {}, readFeatures) : null };
}

/** The Grad-CAM map of a network for a label, or for the predicted one (`predicted`). */
export async function explanation(path, file, label, options) {
  const { explanation: map } = await post(`${path}?explain=${encodeURIComponent(label)}`, file, options);
  return { ...map, values: byteFloats(map.values) };
}
