//! What the tags in an audio file say of it: ID3, Vorbis comments, MP4, APE and RIFF INFO.

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
    let container = super::container_of_file(path).unwrap_or("");
    File::open(path).map_or_else(|_| Tags::default(), |file| read(BufReader::new(file), container))
}

/// The tags in the bytes of a file.
#[must_use]
pub fn tags(bytes: &[u8]) -> Tags {
    let source = super::source::Source::new(Cursor::new(bytes), Path::new(""));
    let container = source.and_then(|mut source| super::sniff::sniff(&mut source, &mut super::Log::default()));
    read(Cursor::new(bytes), container.map_or("", super::sniff::Container::name))
}

/// The tags in `input`, which is of `container`.
fn read(input: impl Read + Seek, container: &str) -> Tags {
    let options = ParseOptions::new().read_properties(false).read_cover_art(true).parsing_mode(ParsingMode::Relaxed);
    let read = || {
        let probe = Probe::new(input).options(options);
        match file_type(container) {
            Some(kind) => probe.set_file_type(kind),
            None => probe.guess_file_type().ok()?,
        }
        .read()
        .ok()
    };
    // Tags are hints: what a broken one does to the reader must not end the program.
    catch_unwind(AssertUnwindSafe(|| read().map(|file| of(&file)))).ok().flatten().unwrap_or_default()
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

/// A text without control characters: several values of one field are divided by NUL.
fn one_line(text: &str) -> String {
    let text: String = text.trim_matches(['\0', ' ']).chars().map(|c| if c == '\0' { ';' } else { c }).collect();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}
