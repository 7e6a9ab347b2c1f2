// The connection to /events. The browser reconnects by itself and says which event it saw last.

const SILENT_S = 4;

export class Stream {
  /** `handlers`: one function a kind of message, and `link(connected, text)` when the connection changes. */
  constructor(state, after, handlers) {
    this.state = state;
    this.handlers = handlers;
    this.lostAt = null;
    this.after = after;
    this.open();
    setInterval(() => this.watch(), 500);
  }

  open() {
    this.source = new EventSource(`/events?after=${this.after}`);
    this.source.addEventListener("error", () => this.lost());
    for (const kind of ["event", "signals", "status", "picture", "dropped"]) {
      this.source.addEventListener(kind, (message) => this.take(kind, JSON.parse(message.data)));
    }
  }

  take(kind, content) {
    if (kind === "event") this.after = Math.max(this.after, content.id);
    this.state.heardAt = performance.now();
    if (!this.state.connected) {
      const again = this.lostAt !== null;
      this.state.connected = true;
      this.lostAt = null;
      this.handlers.link(true, again);
    }
    this.handlers[kind]?.(content);
  }

  lost() {
    if (this.lostAt === null) this.lostAt = Date.now();
    this.state.connected = false;
    this.handlers.link(false, true);
    // After an answer that is no stream (too many readers, say) the browser gives up: try again ourselves.
    if (this.source.readyState === EventSource.CLOSED) {
      clearTimeout(this.retry);
      this.retry = setTimeout(() => this.open(), 3000);
    }
  }

  /** A connection that is open and says nothing is lost too: the daemon speaks ten times a second. */
  watch() {
    if (this.state.connected && this.state.silence() > SILENT_S) {
      this.lost();
      this.source.close();
      this.open();
    } else if (!this.state.connected && this.lostAt !== null) {
      this.handlers.link(false, true);
    }
  }
}
