//! What the tags in an audio file say of it: ID3, Vorbis comments, MP4, APE and RIFF INFO.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use lofty::{
    config::{ParseOptions, ParsingMode},
    file::TaggedFileExt as _,
    probe::Probe,
    tag::{Accessor as _, ItemKey, Tag},
};

use crate::dataset::metadata::MetadataRow;

/// Artist, album and title of the file at `path`, as far as its tags have them; a file whose tags cannot be read has none.
pub(super) fn read(path: &Path) -> MetadataRow {
    // Tags are hints: what a broken one does to the reader must not end the program.
    catch_unwind(AssertUnwindSafe(|| read_tags(path))).ok().flatten().unwrap_or_default()
}

fn read_tags(path: &Path) -> Option<MetadataRow> {
    let options = ParseOptions::new().read_properties(false).read_cover_art(false).parsing_mode(ParsingMode::Relaxed);
    let file = Probe::open(path).ok()?.options(options).guess_file_type().ok()?.read().ok()?;
    // The tag that the format prefers comes first, then the others.
    let mut tags: Vec<&Tag> = file.tags().iter().collect();
    tags.sort_by_key(|tag| tag.tag_type() != file.primary_tag_type());
    let text = |of: &dyn Fn(&Tag) -> Option<String>| {
        let texts = tags.iter().filter_map(|tag| of(tag));
        texts.map(|text| one_line(&text)).find(|text| !text.is_empty())
    };
    let artist = text(&|tag| tag.artist().map(Into::into));
    Some(MetadataRow {
        artist: artist.or_else(|| text(&|tag| tag.get_string(ItemKey::AlbumArtist).map(str::to_owned))),
        album: text(&|tag| tag.album().map(Into::into)),
        title: text(&|tag| tag.title().map(Into::into)),
        ..MetadataRow::default()
    })
}

/// A text without control characters: several values of one field are divided by NUL.
fn one_line(text: &str) -> String {
    let text: String = text.trim_matches(['\0', ' ']).chars().map(|c| if c == '\0' { ';' } else { c }).collect();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}
