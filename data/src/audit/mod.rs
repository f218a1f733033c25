//! What is wrong with a corpus.
