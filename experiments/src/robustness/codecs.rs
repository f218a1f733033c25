//! Codecs, by the ffmpeg that is installed: it encodes, and what it wrote is decoded as every other file.

use std::{
    collections::BTreeSet,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context as _, Result, bail};
use data::degrade::i16_samples;
use features::{Clip, Fingerprint, decode};
use serde::{Deserialize, Serialize};
use train::training::cached_file;

/// How a clip is encoded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Codec {
    /// The codec.
    pub name: CodecName,
    /// Bit rate in kbit/s, 1 to 2000; else what the encoder takes.
    #[serde(default)]
    pub kbits: Option<u32>,
    /// Quality of a variable bit rate, as the encoder counts it, −10 to 100.
    #[serde(default)]
    pub quality: Option<f64>,
    /// Sample rate in Hz, 1,000 to 192,000; else that of the clip.
    #[serde(default)]
    pub sample_rate: Option<u32>,
    /// 1 or 2: the clip in each; else 1.
    #[serde(default)]
    pub channels: Option<u16>,
}

/// A codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CodecName {
    /// MPEG-1 and 2, layer III, by LAME.
    Mp3,
    /// MPEG-4 AAC-LC, in MP4.
    Aac,
    /// Vorbis, in Ogg.
    Vorbis,
    /// Opus, in Ogg.
    Opus,
}

impl CodecName {
    /// What ffmpeg calls its encoder, and how a file of it ends.
    fn encoder(self) -> (&'static str, &'static str) {
        match self {
            Self::Mp3 => ("libmp3lame", "mp3"),
            Self::Aac => ("aac", "m4a"),
            Self::Vorbis => ("libvorbis", "ogg"),
            Self::Opus => ("libopus", "opus"),
        }
    }
}

impl Codec {
    /// Checks what types do not say.
    ///
    /// # Errors
    /// Names the field that is out of range.
    pub fn validate(&self) -> Result<()> {
        let Self { kbits, quality, sample_rate, channels, .. } = self;
        if kbits.is_some_and(|kbits| !(1..=2_000).contains(&kbits)) {
            bail!("`kbits` is out of range; expected 1 to 2000");
        }
        if quality.is_some_and(|quality| !(-10.0..=100.0).contains(&quality)) {
            bail!("`quality` is out of range; expected -10 to 100");
        }
        if kbits.is_some() && quality.is_some() {
            bail!("`kbits` and `quality` are two ways to say one thing; name one of them");
        }
        if sample_rate.is_some_and(|rate| !(1_000..=192_000).contains(&rate)) {
            bail!("`sample_rate` is out of range; expected 1000 to 192000");
        }
        if channels.is_some_and(|channels| !(1..=2).contains(&channels)) {
            bail!("`channels` is out of range; expected 1 or 2");
        }
        Ok(())
    }

    /// What ffmpeg is told about the file that it writes.
    fn arguments(&self) -> Vec<String> {
        let Self { name, kbits, quality, sample_rate, channels } = self;
        let mut arguments = vec!["-c:a".to_owned(), name.encoder().0.to_owned()];
        let mut add = |option: &str, value: Option<String>| {
            arguments.extend(value.into_iter().flat_map(|value| [option.to_owned(), value]));
        };
        add("-b:a", kbits.map(|kbits| format!("{kbits}k")));
        add("-q:a", quality.map(|quality| quality.to_string()));
        add("-ar", sample_rate.map(|rate| rate.to_string()));
        add("-ac", channels.map(|channels| channels.to_string()));
        arguments
    }
}

/// The ffmpeg that is installed.
#[derive(Clone, Debug)]
pub struct Ffmpeg {
    program: PathBuf,
    /// Its version, such as `5.1.9`: another may encode otherwise.
    version: String,
    encoders: BTreeSet<String>,
}

impl Ffmpeg {
    /// Asks `program` for its version and its encoders.
    ///
    /// # Errors
    /// When it cannot be started, or does not answer as ffmpeg does.
    pub fn find(program: &Path) -> Result<Self> {
        let ask = |arguments: &[&str]| -> Result<String> {
            let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
            let output = output.with_context(|| format!("failed to start {}", program.display()))?;
            if !output.status.success() {
                bail!("{} {} failed", program.display(), arguments.join(" "));
            }
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        };
        let text = ask(&["-version"])?;
        let Some(version) = text.strip_prefix("ffmpeg version ").and_then(|rest| rest.split_whitespace().next()) else {
            bail!("{} is not ffmpeg: it does not say its version", program.display());
        };
        let encoders = ask(&["-hide_banner", "-encoders"])?;
        // Lines such as ` A....D libopus    libopus Opus`, below a rule.
        let encoders = encoders.lines().skip_while(|line| line.trim() != "------").skip(1);
        let name = |line: &str| line.split_whitespace().nth(1).map(str::to_owned);
        Ok(Self {
            program: program.to_owned(),
            version: version.to_owned(),
            encoders: encoders.filter_map(name).collect(),
        })
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Whether it has the encoder of a codec.
    ///
    /// # Errors
    /// Says which it lacks.
    pub fn can(&self, codec: &Codec) -> Result<()> {
        let (encoder, _) = codec.name.encoder();
        if self.encoders.contains(encoder) { Ok(()) } else { bail!("this ffmpeg has no encoder `{encoder}`") }
    }

    /// The clip as it is after it was encoded and decoded. Its samples are rounded to 16 bits before. What was encoded is kept in the
    /// cache, by the samples, the codec and the version of ffmpeg.
    ///
    /// # Errors
    /// When ffmpeg fails, or its file cannot be read.
    pub fn through(&self, codec: &Codec, clip: &Clip, cache: &Path) -> Result<Clip> {
        let pcm: Vec<u8> = i16_samples(clip).flat_map(i16::to_le_bytes).collect();
        let arguments = codec.arguments();
        let identity =
            format!("{} {} {} {}", self.version, arguments.join(" "), clip.sample_rate(), Fingerprint::of(&pcm));
        let cached = cache.join("encoded").join(Fingerprint::of(identity.as_bytes()).to_string());
        let bytes = match cached_file::read(&cached) {
            Some(bytes) => bytes,
            None => {
                let bytes = self.encode(codec, &arguments, clip.sample_rate(), pcm)?;
                cached_file::write(&cached, &bytes).with_context(|| format!("failed to write {}", cached.display()))?;
                bytes
            }
        };
        Ok(decode::decode(&bytes, &decode::Limits::default())?.clip)
    }

    fn encode(&self, codec: &Codec, arguments: &[String], sample_rate: u32, pcm: Vec<u8>) -> Result<Vec<u8>> {
        let folder = tempfile::Builder::new().prefix("tonearm-").tempdir()?;
        let file = folder.path().join("encoded").with_extension(codec.name.encoder().1);
        let rate = sample_rate.to_string();
        let input = ["-hide_banner", "-loglevel", "error", "-f", "s16le", "-ar", &rate, "-ac", "1", "-i", "pipe:0"];
        let mut child = Command::new(&self.program)
            .args(input)
            .args(arguments)
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("failed to start {}", self.program.display()))?;
        let stdin = child.stdin.take();
        // It may end before it has read everything; why, it says itself.
        let writer = thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&pcm)));
        let output = child.wait_with_output()?;
        let _ = writer.join();
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("ffmpeg {} failed: {}", arguments.join(" "), said.trim().replace('\n', "; "));
        }
        fs::read(&file).context("ffmpeg wrote no file")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_those_of_the_codec() {
        let codec = Codec {
            name: CodecName::Vorbis,
            kbits: None,
            quality: Some(3.0),
            sample_rate: Some(44_100),
            channels: Some(2),
        };
        assert_eq!(codec.arguments().join(" "), "-c:a libvorbis -q:a 3 -ar 44100 -ac 2");
        assert!(codec.validate().is_ok());
        assert!(Codec { kbits: Some(64), ..codec }.validate().is_err(), "two ways");
    }

    #[test]
    fn what_is_no_ffmpeg_is_said() {
        for (program, words) in [("/no/such/ffmpeg", "failed to start"), ("true", "is not ffmpeg")] {
            let error = format!("{:#}", Ffmpeg::find(Path::new(program)).expect_err("refused"));
            assert!(error.contains(words), "{error}");
        }
    }
}
