//! What the tags in an audio file say of it: ID3, Vorbis comments, MP4, APE and RIFF INFO by lofty; those of Matroska, CAF and FLAC in Ogg,
//! which lofty does not read, by their containers' readers.

use std::{
    fs::File,
    io::{BufReader, Cursor, Read, Seek},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use lofty::{
    config::{ParseOptions, ParsingMode},
    file::{FileType, TaggedFile, TaggedFileExt as _},
    probe::Probe,
    tag::{Accessor as _, ItemKey, Tag},
};
use serde::Serialize;

use super::{containers, sniff, source::Source, warnings::Log};

/// The tags of a file, as far as it has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tags {
    /// Who plays or sings; of several, all, with semicolons between them.
    pub artist: Option<String>,
    /// The album.
    pub album: Option<String>,
    /// The title.
    pub title: Option<String>,
    /// The genre, in the words of whoever tagged the file.
    pub genre: Option<String>,
    /// The number of the track on the album.
    pub track: Option<u32>,
    /// The year of the recording or release.
    pub year: Option<u32>,
    /// Whether there is a picture.
    pub cover: bool,
}

/// The tags of the file at `path`; a file whose tags cannot be read has none.
#[must_use]
pub fn read_tags(path: &Path) -> Tags {
    let open = || File::open(path).ok().map(BufReader::new);
    let source = || Source::new(File::open(path).ok()?, path).ok();
    from(open, source)
}

/// The tags in the bytes of a file.
#[must_use]
pub fn tags(bytes: &[u8]) -> Tags {
    from(|| Some(Cursor::new(bytes)), || Source::new(Cursor::new(bytes), Path::new("")).ok())
}

fn from<'s, R: Read + Seek>(open: impl FnOnce() -> Option<R>, source: impl FnOnce() -> Option<Source<'s>>) -> Tags {
    // Tags are hints: what a broken one does to the reader must not end the program.
    let read = || {
        let mut source = source()?;
        let container = sniff::sniff(&mut source, &mut Log::default()).ok();
        if let Some(pairs) = container.and_then(|container| containers::comments(container, &mut source)) {
            return Some(Tags::from_pairs(pairs));
        }
        let input = open()?;
        by_lofty(input, container.map_or("", sniff::Container::name))
    };
    catch_unwind(AssertUnwindSafe(read)).ok().flatten().unwrap_or_default()
}

/// The tags in `input`, which is of `container`.
fn by_lofty(input: impl Read + Seek, container: &str) -> Option<Tags> {
    let options = ParseOptions::new().read_properties(false).read_cover_art(true).parsing_mode(ParsingMode::Relaxed);
    let probe = Probe::new(input).options(options);
    let probe = match file_type(container) {
        Some(kind) => probe.set_file_type(kind),
        None => probe.guess_file_type().ok()?,
    };
    probe.read().ok().map(|file| of(&file))
}

/// What lofty calls a container; `None` where it depends on the codec, or where it has no name for it.
fn file_type(container: &str) -> Option<FileType> {
    Some(match container {
        "wav" => FileType::Wav,
        "aiff" => FileType::Aiff,
        "flac" => FileType::Flac,
        "mp1" | "mp2" | "mp3" => FileType::Mpeg,
        "aac" => FileType::Aac,
        "m4a" => FileType::Mp4,
        _ => return None,
    })
}

fn of(file: &TaggedFile) -> Tags {
    // The tag that the format prefers comes first, then the others.
    let mut tags: Vec<&Tag> = file.tags().iter().collect();
    tags.sort_by_key(|tag| tag.tag_type() != file.primary_tag_type());
    let text = |of: &dyn Fn(&Tag) -> Option<String>| {
        let texts = tags.iter().filter_map(|tag| of(tag));
        texts.map(|text| one_line(&text)).find(|text| !text.is_empty())
    };
    let artist = text(&|tag| tag.artist().map(Into::into));
    Tags {
        artist: artist.or_else(|| text(&|tag| tag.get_string(ItemKey::AlbumArtist).map(str::to_owned))),
        album: text(&|tag| tag.album().map(Into::into)),
        title: text(&|tag| tag.title().map(Into::into)),
        genre: text(&|tag| tag.genre().map(Into::into)),
        track: tags.iter().find_map(|tag| tag.track()),
        year: tags.iter().find_map(|tag| tag.date()).map(|date| u32::from(date.year)),
        cover: tags.iter().any(|tag| !tag.pictures().is_empty()),
    }
}

impl Tags {
    /// The tags of fields with the names of Vorbis comments, Matroska or CAF; of a field with a picture, only that it is there.
    fn from_pairs(pairs: Vec<(String, String)>) -> Self {
        let find = |names: &[&str]| {
            let values =
                names.iter().flat_map(|name| pairs.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)));
            values.map(|(_, value)| one_line(value)).find(|value| !value.is_empty())
        };
        // "3/12" and "2001-05-01" begin with the number.
        let number =
            |text: String| text.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
        Self {
            artist: find(&["ARTIST", "LEAD_PERFORMER", "ALBUMARTIST", "ALBUM_ARTIST", "COMPOSER"]),
            album: find(&["ALBUM"]),
            title: find(&["TITLE"]),
            genre: find(&["GENRE"]),
            track: find(&["TRACKNUMBER", "PART_NUMBER", "TRACK", "track number"]).and_then(number),
            year: find(&["DATE", "YEAR", "DATE_RELEASED", "DATE_RECORDED", "recorded date"]).and_then(number),
            cover: find(&["METADATA_BLOCK_PICTURE", "COVERART"]).is_some(),
        }
    }
}

/// A text without control characters: several values of one field are divided by NUL.
fn one_line(text: &str) -> String {
    let text: String = text.trim_matches(['\0', ' ']).chars().map(|c| if c == '\0' { ';' } else { c }).collect();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_their_names() {
        let pairs =
            [("artist", "A\0B"), ("TITLE", " T "), ("PART_NUMBER", "3/12"), ("DATE", "2001-05-01"), ("Genre", "")];
        let tags = Tags::from_pairs(pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec());
        let expected = Tags {
            artist: Some("A;B".into()),
            title: Some("T".into()),
            track: Some(3),
            year: Some(2001),
            ..Tags::default()
        };
        assert_eq!(tags, expected);
    }
}
