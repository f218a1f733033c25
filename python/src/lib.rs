//! The Python module `tonearm._tonearm`.
