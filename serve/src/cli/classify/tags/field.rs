//! The field that takes the genre, in the tags of every format that is written, by lofty.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, Read, Seek},
};

use lofty::{
    TextEncoding,
    aac::AacFile,
    ape::{ApeItem, ApeTag},
    config::{ParseOptions, ParsingMode, WriteOptions},
    error::FileParseError,
    file::AudioFile,
    flac::FlacFile,
    id3::{
        v1::{GENRES, Id3v1Tag},
        v2::{ExtendedTextFrame, Frame, FrameId, Id3v2Tag, Id3v2Version, TextInformationFrame},
    },
    iff::{
        aiff::AiffFile,
        wav::{RiffInfoList, WavFile},
    },
    mp4::{Atom, AtomData, AtomIdent, Ilst, Mp4File},
    mpeg::MpegFile,
    ogg::{OpusFile, VorbisFile, tag::VorbisComments},
    tag::{Accessor as _, ItemKey, ItemValue, TagType},
};

use crate::{
    cli::classify::payload::{Container, TagText},
    gateway::error_chain,
};

/// Longest name of a field, in bytes.
const MAX_NAME: usize = 64;
/// Vendor under which MP4 keeps fields that it has no code for.
const FREEFORM_MEAN: &str = "com.apple.iTunes";

/// The field of a file's tags that takes the genre.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli::classify) enum Field {
    /// That of the genre: `TCON`, `GENRE`, `©gen`, `IGNR`.
    Genre,
    /// One of somebody's own: a `TXXX` frame, a Vorbis comment, a freeform atom.
    Named(String),
}

impl Field {
    /// The field of that name. One that is for other metadata, such as `TITLE`, is refused.
    ///
    /// # Errors
    /// What is expected.
    pub(in crate::cli::classify) fn parse(name: &str) -> Result<Self, String> {
        if name.eq_ignore_ascii_case("GENRE") {
            return Ok(Self::Genre);
        }
        // What Vorbis comments, the strictest of the formats, take as a key.
        let is_plain = name.bytes().all(|byte| (0x20..=0x7d).contains(&byte) && ![b'=', b':'].contains(&byte));
        if name.trim() != name || name.is_empty() || name.len() > MAX_NAME || !is_plain {
            return Err(format!("expected 1 to {MAX_NAME} ASCII characters without `=` and `:`"));
        }
        match ItemKey::from_key(TagType::VorbisComments, name) {
            None | Some(ItemKey::Mood) => Ok(Self::Named(name.to_owned())),
            Some(_) => {
                Err("it is a field for other metadata; expected GENRE, or a name of your own such as TONEARM_GENRE"
                    .to_owned())
            }
        }
    }

    /// Its name.
    pub(in crate::cli::classify) fn name(&self) -> &str {
        match self {
            Self::Genre => "GENRE",
            Self::Named(name) => name,
        }
    }

    /// Whether a tag that Symphonia read is this field.
    pub(super) fn is(&self, tag: &TagText) -> bool {
        match self {
            Self::Genre => tag.is_genre,
            Self::Named(name) => tag.name.as_ref().is_some_and(|found| found.eq_ignore_ascii_case(name)),
        }
    }
}

/// A tag in which a field can be read and set.
trait Holder {
    /// What the field holds.
    fn values(&self, field: &Field) -> Vec<String>;

    /// Puts `value` in place of what the field holds. A tag that cannot hold the field stays as it is.
    fn set(&mut self, field: &Field, value: &str);
}

impl Holder for Id3v2Tag {
    fn values(&self, field: &Field) -> Vec<String> {
        match field {
            Field::Genre => self.genres().map(|genres| genres.map(str::to_owned).collect()).unwrap_or_default(),
            Field::Named(name) => self
                .into_iter()
                .filter_map(|frame| match frame {
                    Frame::UserText(ExtendedTextFrame { description, content, .. })
                        if description.eq_ignore_ascii_case(name) =>
                    {
                        Some(content.to_string())
                    }
                    _ => None,
                })
                .collect(),
        }
    }

    fn set(&mut self, field: &Field, value: &str) {
        match field {
            Field::Genre => {
                let _ = self.remove(&FrameId::Valid(Cow::Borrowed("TCON"))).count();
                self.set_genre(value.to_owned());
            }
            Field::Named(name) => {
                self.retain(|frame| {
                    !matches!(frame, Frame::UserText(ExtendedTextFrame { description, .. })
                        if description.eq_ignore_ascii_case(name))
                });
                let _ = self.insert_user_text(name.clone(), value.to_owned());
            }
        }
        if self.original_version() != Id3v2Version::V3 {
            self.retain_mut(|frame| {
                spell_in_utf8(frame);
                true
            });
        }
    }
}

/// lofty writes the mark of the byte order before the first of several values alone, so that some programs misread the others. ID3v2.4
/// has UTF-8, which needs none.
fn spell_in_utf8(frame: &mut Frame<'_>) {
    if let Frame::Text(TextInformationFrame { encoding, value: text, .. })
    | Frame::UserText(ExtendedTextFrame { encoding, content: text, .. }) = frame
        && *encoding == TextEncoding::UTF16
        && text.contains('\0')
    {
        *encoding = TextEncoding::UTF8;
    }
}

impl Holder for Id3v1Tag {
    fn values(&self, field: &Field) -> Vec<String> {
        let genre = self.genre().filter(|_| *field == Field::Genre);
        genre.map(|genre| genre.to_string()).into_iter().collect()
    }

    /// It has a number for each of 192 genres: another is taken away rather than left with what it was.
    fn set(&mut self, field: &Field, value: &str) {
        if *field == Field::Genre {
            let known = GENRES.iter().position(|known| known.eq_ignore_ascii_case(value));
            self.genre = known.and_then(|number| u8::try_from(number).ok());
        }
    }
}

impl Holder for VorbisComments {
    fn values(&self, field: &Field) -> Vec<String> {
        self.get_all(field.name()).map(str::to_owned).collect()
    }

    fn set(&mut self, field: &Field, value: &str) {
        self.insert(field.name().to_owned(), value.to_owned());
    }
}

impl Holder for ApeTag {
    fn values(&self, field: &Field) -> Vec<String> {
        let values = self.get(field.name()).and_then(ApeItem::text_values);
        values.map(|values| values.map(str::to_owned).collect()).unwrap_or_default()
    }

    fn set(&mut self, field: &Field, value: &str) {
        let key = if *field == Field::Genre { "Genre" } else { field.name() };
        if let Ok(item) = ApeItem::new(key.to_owned(), ItemValue::Text(value.to_owned())) {
            self.insert(item);
        }
    }
}

impl Holder for RiffInfoList {
    fn values(&self, field: &Field) -> Vec<String> {
        let genre = self.get("IGNR").filter(|_| *field == Field::Genre);
        genre.map(str::to_owned).into_iter().collect()
    }

    fn set(&mut self, field: &Field, value: &str) {
        if *field == Field::Genre {
            self.insert("IGNR".to_owned(), value.to_owned());
        }
    }
}

impl Holder for Ilst {
    fn values(&self, field: &Field) -> Vec<String> {
        let atoms = self.into_iter().filter(|atom| is_field(atom.ident(), field));
        let text = |data: &AtomData| match data {
            AtomData::UTF8(text) | AtomData::UTF16(text) => text.clone(),
            // The number of a genre in `gnre`, or bytes of somebody's own.
            _ => "(no text)".to_owned(),
        };
        atoms.flat_map(|atom| atom.data().map(text).collect::<Vec<_>>()).collect()
    }

    fn set(&mut self, field: &Field, value: &str) {
        self.retain(|atom| !is_field(atom.ident(), field));
        let ident = match field {
            Field::Genre => AtomIdent::Fourcc(*b"\xa9gen"),
            Field::Named(name) => {
                AtomIdent::Freeform { mean: Cow::Borrowed(FREEFORM_MEAN), name: Cow::Owned(name.clone()) }
            }
        };
        self.insert(Atom::new(ident, AtomData::UTF8(value.to_owned())));
    }
}

fn is_field(ident: &AtomIdent<'_>, field: &Field) -> bool {
    match (ident, field) {
        (AtomIdent::Fourcc(code), Field::Genre) => [*b"\xa9gen", *b"gnre"].contains(code),
        (AtomIdent::Freeform { name, .. }, Field::Named(wanted)) => name.eq_ignore_ascii_case(wanted),
        _ => false,
    }
}

/// The tags of a file, in the types of its format, which keep what they do not know.
pub(super) enum FileTags {
    Aac(AacFile),
    Aiff(AiffFile),
    Flac(FlacFile),
    Mp4(Mp4File),
    Mpeg(MpegFile),
    Opus(OpusFile),
    Vorbis(VorbisFile),
    Wav(WavFile),
}

/// Strict, so that a tag that cannot be read ends in an error and is not left out.
fn parse_options() -> ParseOptions {
    ParseOptions::new().read_properties(false).parsing_mode(ParsingMode::Strict).implicit_conversions(false)
}

impl FileTags {
    /// Reads the tags of a file of that container; nothing, if they are of a form that is not written.
    ///
    /// # Errors
    /// What is wrong with them.
    pub(super) fn read<F: Read + Seek>(container: Container, file: &mut F) -> Result<Option<Self>, String> {
        file.rewind().map_err(|error| error.to_string())?;
        let options = parse_options();
        let tags = match container {
            Container::Adts => AacFile::read_from(file, options).map(Self::Aac),
            Container::Aiff => AiffFile::read_from(file, options).map(Self::Aiff),
            Container::Flac => FlacFile::read_from(file, options).map(Self::Flac),
            Container::Mp4 => Mp4File::read_from(file, options).map(Self::Mp4),
            Container::Mpeg => MpegFile::read_from(file, options).map(Self::Mpeg),
            Container::Ogg => match first_packet(file).map_err(|error| error.to_string())? {
                head if head.starts_with(b"OpusHead") => OpusFile::read_from(file, options).map(Self::Opus),
                head if head.starts_with(b"\x01vorbis") => VorbisFile::read_from(file, options).map(Self::Vorbis),
                _ => return Ok(None),
            },
            Container::Wav => WavFile::read_from(file, options).map(Self::Wav),
        };
        tags.map(Some).map_err(|error: FileParseError| error_chain(&error))
    }

    fn holders(&self) -> Vec<&dyn Holder> {
        match self {
            Self::Aac(file) => [holder(file.id3v2()), holder(file.id3v1())].into_iter().flatten().collect(),
            Self::Aiff(file) => holder(file.id3v2()).into_iter().collect(),
            Self::Flac(file) => [holder(file.vorbis_comments()), holder(file.id3v2())].into_iter().flatten().collect(),
            Self::Mp4(file) => holder(file.ilst()).into_iter().collect(),
            Self::Mpeg(file) => {
                [holder(file.id3v2()), holder(file.ape()), holder(file.id3v1())].into_iter().flatten().collect()
            }
            Self::Opus(file) => vec![file.vorbis_comments()],
            Self::Vorbis(file) => vec![file.vorbis_comments()],
            Self::Wav(file) => [holder(file.id3v2()), holder(file.riff_info())].into_iter().flatten().collect(),
        }
    }

    /// What the field holds in any of the tags, without what is empty.
    pub(super) fn values(&self, field: &Field) -> Vec<String> {
        let mut values = Vec::new();
        for value in self.holders().iter().flat_map(|tag| tag.values(field)) {
            let value = value.trim_matches(['\0', ' ']).to_owned();
            if !value.is_empty() && !values.contains(&value) {
                values.push(value);
            }
        }
        values
    }

    /// Sets the field in the tag that the format prefers, which is made if there is none, and in every other that there is. WAV gets both
    /// of its tags: some programs read one alone.
    pub(super) fn set(&mut self, field: &Field, value: &str) {
        match self {
            Self::Aac(file) => {
                let tag = with(file.remove_id3v2(), field, value);
                let _ = file.set_id3v2(tag);
                set_in(file.id3v1_mut(), field, value);
            }
            Self::Aiff(file) => {
                let tag = with(file.remove_id3v2(), field, value);
                let _ = file.set_id3v2(tag);
            }
            Self::Flac(file) => {
                let tag = with(file.remove_vorbis_comments(), field, value);
                let _ = file.set_vorbis_comments(tag);
            }
            Self::Mp4(file) => {
                let tag = with(file.remove_ilst(), field, value);
                let _ = file.set_ilst(tag);
            }
            Self::Mpeg(file) => {
                let tag = with(file.remove_id3v2(), field, value);
                let _ = file.set_id3v2(tag);
                set_in(file.ape_mut(), field, value);
                set_in(file.id3v1_mut(), field, value);
            }
            Self::Opus(file) => file.vorbis_comments_mut().set(field, value),
            Self::Vorbis(file) => file.vorbis_comments_mut().set(field, value),
            Self::Wav(file) => {
                let tag = with(file.remove_id3v2(), field, value);
                let _ = file.set_id3v2(tag);
                if *field == Field::Genre {
                    let tag = with(file.remove_riff_info(), field, value);
                    let _ = file.set_riff_info(tag);
                }
            }
        }
    }

    /// Writes the tags into the file that they were read from.
    ///
    /// # Errors
    /// Why it cannot be done.
    pub(super) fn save(&self, file: &mut File) -> Result<(), String> {
        let mut options = WriteOptions::new();
        let _ = options.parse_options(parse_options());
        // A text that its encoding cannot hold is an error.
        let _ = options.lossy_text_encoding(false);
        // ID3v2.3 stays what it is, for the programs that read no later one.
        if self.id3v2().is_some_and(|tag| tag.original_version() == Id3v2Version::V3) {
            let _ = options.use_id3v23(true);
        }
        let options = match self {
            // It would fill whole pages of 65,025 bytes.
            Self::Opus(_) | Self::Vorbis(_) => options.preferred_padding(0),
            // As programs for WAV write it.
            Self::Wav(_) => options.uppercase_id3v2_chunk(false),
            _ => options,
        };
        file.rewind().map_err(|error| error.to_string())?;
        let saved = match self {
            Self::Aac(tags) => tags.save_to(file, options),
            Self::Aiff(tags) => tags.save_to(file, options),
            Self::Flac(tags) => tags.save_to(file, options),
            Self::Mp4(tags) => tags.save_to(file, options),
            Self::Mpeg(tags) => tags.save_to(file, options),
            Self::Opus(tags) => tags.save_to(file, options),
            Self::Vorbis(tags) => tags.save_to(file, options),
            Self::Wav(tags) => tags.save_to(file, options),
        };
        saved.map_err(|error| error_chain(&error))
    }

    fn id3v2(&self) -> Option<&Id3v2Tag> {
        match self {
            Self::Aac(file) => file.id3v2(),
            Self::Aiff(file) => file.id3v2(),
            Self::Mpeg(file) => file.id3v2(),
            Self::Wav(file) => file.id3v2(),
            Self::Flac(_) | Self::Mp4(_) | Self::Opus(_) | Self::Vorbis(_) => None,
        }
    }
}

fn holder<T: Holder>(tag: Option<&T>) -> Option<&dyn Holder> {
    tag.map(|tag| tag as _)
}

/// The tag, or a new one, with that value.
fn with<T: Holder + Default>(tag: Option<T>, field: &Field, value: &str) -> T {
    let mut tag = tag.unwrap_or_default();
    tag.set(field, value);
    tag
}

fn set_in<T: Holder>(tag: Option<&mut T>, field: &Field, value: &str) {
    if let Some(tag) = tag {
        tag.set(field, value);
    }
}

/// The beginning of the first packet of an Ogg file: what is behind the header of its first page (RFC 3533, 6).
fn first_packet<F: Read + Seek>(file: &mut F) -> io::Result<Vec<u8>> {
    let mut page = [0; 27 + 255 + 8];
    file.rewind()?;
    let mut length = 0;
    while length < page.len() {
        match file.read(&mut page[length..])? {
            0 => break,
            read => length += read,
        }
    }
    file.rewind()?;
    let start = 27 + usize::from(page[26]);
    Ok(page.get(start..(start + 8).min(length)).unwrap_or_default().to_vec())
}
