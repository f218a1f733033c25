// A queue of requests, so that a long list does not occupy the server alone.

/** Runs at most `width` jobs at a time. */
export class Queue {
  /** @param {number} width */
  constructor(width) {
    this.width = width;
    this.running = 0;
    /** @type {{job: () => Promise<void>, isFirst: boolean}[]} */
    this.waiting = [];
  }

  /**
   * @param {() => Promise<void>} job handles its own errors
   * @param {boolean} isFirst before those that are not
   */
  add(job, isFirst = false) {
    const at = isFirst ? this.waiting.findIndex((entry) => !entry.isFirst) : -1;
    const entry = { job, isFirst };
    if (at < 0) this.waiting.push(entry);
    else this.waiting.splice(at, 0, entry);
    this.next();
  }

  next() {
    while (this.running < this.width && this.waiting.length > 0) {
      const { job } = this.waiting.shift();
      this.running += 1;
      job().finally(() => {
        this.running -= 1;
        this.next();
      });
    }
  }
}
