//! The page in a real browser, in front of the real server.
//!
//! `TONEARM_SCREENSHOTS=DIR` writes screenshots of the page to that folder. `stack` alone uses a server that runs already:
//! `TONEARM_WEB_URL=http://127.0.0.1:8083 cargo test --release --workspace --locked --test browser stack`.

mod audio;
mod batch;
mod browser;
mod datasets;
mod down;
mod driver;
mod ensemble;
mod first;
mod key;
mod labels;
mod many;
mod prefix;
mod proxy;
mod reach;
mod reload;
mod stack;
mod track;
mod upload;
mod world;
