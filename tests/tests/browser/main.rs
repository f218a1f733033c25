//! The page in a real browser, in front of the real server.
//!
//! `TONEARM_SCREENSHOTS=DIR` keeps pictures of the page in that folder.

mod browser;
mod down;
mod driver;
mod key;
mod many;
mod reach;
mod song;
mod world;
