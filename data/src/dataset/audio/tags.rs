//! What the tags in an audio file say of it.

use std::path::Path;

use features::decode::tags::read_tags;

use crate::dataset::metadata::MetadataRow;

/// Artist, album and title of the file at `path`, as far as its tags have them; a file whose tags cannot be read has none.
pub(super) fn read(path: &Path) -> MetadataRow {
    let tags = read_tags(path);
    MetadataRow { artist: tags.artist, album: tags.album, title: tags.title, ..MetadataRow::default() }
}
