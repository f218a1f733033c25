//! AIFF and AIFF-C of Apple.

use symphonia::core::codecs::audio::well_known::CODEC_ID_ADPCM_IMA_QT;

use super::*;

/// Bytes and frames of a packet of Apple's IMA ADPCM, for each channel.
pub(super) const IMA4: (usize, u64) = (34, 64);

/// The `COMM` chunk.
struct Common {
    channels: usize,
    bits: u16,
    sample_rate: u32,
    compression: [u8; 4],
}

/// An AIFF file.
pub(super) fn open(source: &mut Source<'_>, log: &mut Log) -> Result<Box<dyn Reader>> {
    let length = source.remaining();
    let truncated = |detail: String| Error::Truncated { container: "aiff", detail };
    let Some(head) = source.array::<12>()? else {
        return Err(truncated("the file ends within its header".into()));
    };
    let form_size = u64::from(u32::from_be_bytes([head[4], head[5], head[6], head[7]]));
    let is_aiff_c = &head[8..] == b"AIFC";
    let (mut common, mut sound) = (None, None);
    // The chunks may come in any order.
    while common.is_none() || sound.is_none() {
        let Some([a, b, c, d, size @ ..]) = source.array::<8>()? else { break };
        let (id, size) = ([a, b, c, d], u64::from(u32::from_be_bytes(size)));
        let body = source.position();
        match &id {
            b"COMM" => common = Some(Common::parse(source.peek(22)?, is_aiff_c)?),
            b"SSND" => {
                let offset = source.peek(4)?.first_chunk().map_or(0, |v| u64::from(u32::from_be_bytes(*v)));
                sound = Some((body + 8 + offset, size.saturating_sub(8 + offset)));
            }
            _ => (),
        }
        source.seek(body.saturating_add(padded(size, 2)))?;
    }
    let Some((start, size)) = sound else {
        return Err(truncated(format!("the file ends after {} bytes, before its audio", source.end())));
    };
    let common =
        common.ok_or_else(|| Error::Corrupt { container: "aiff", detail: "it has no \"COMM\" chunk".into() })?;
    source.seek(start)?;
    let is_whole = form_size.saturating_add(8) == length;
    common.reader(source, size, is_whole, log)
}

impl Common {
    fn parse(chunk: &[u8], is_aiff_c: bool) -> Result<Self> {
        let field = |at: usize| chunk.get(at..at + 2).map(|v| u16::from_be_bytes([v[0], v[1]]));
        let (Some(channels), Some(bits), Some(exponent), Some(mantissa)) =
            (field(0), field(6), field(8), chunk.get(10..18).and_then(|v| v.as_array()))
        else {
            let detail = format!("its \"COMM\" chunk has only {} bytes", chunk.len());
            return Err(Error::Truncated { container: "aiff", detail });
        };
        // IEEE 754 with 80 bits: the mantissa has its leading 1.
        let exponent = i32::from(exponent & 0x7fff) - 16_383 - 63;
        let sample_rate = (u64::from_be_bytes(*mantissa) as f64 * libm::exp2(f64::from(exponent))).round() as u32;
        let compression =
            chunk.get(18..22).and_then(|v| v.as_array()).copied().filter(|_| is_aiff_c).unwrap_or(*b"NONE");
        Ok(Self { channels: usize::from(channels), bits, sample_rate, compression })
    }

    /// The reader of the audio that is next in `source` and should have `size` bytes.
    fn reader(&self, source: &mut Source<'_>, size: u64, is_whole: bool, log: &mut Log) -> Result<Box<dyn Reader>> {
        let (rate, channels) = (self.sample_rate, self.channels);
        let mut end = |source: &Source<'_>, bytes_per_second: f64| match size {
            0 if source.remaining() > 0 => source.end(),
            size => data_end(source, size, is_whole, bytes_per_second, log),
        };
        if matches!(&self.compression, b"ima4") {
            if channels == 0 {
                return Err(Error::Corrupt { container: "aiff", detail: "its header says 0 channels".into() });
            }
            let (bytes, frames) = (IMA4.0 * channels, IMA4.1);
            let end = end(source, bytes as f64 * f64::from(rate) / frames as f64);
            let format = Format::packets(CODEC_ID_ADPCM_IMA_QT, rate, channels, |params| {
                params.with_max_frames_per_packet(frames).with_frames_per_block(frames);
            });
            return Ok(Box::new(Blocks { format: Some(format), bytes, frames, header: 2 * channels, end }));
        }
        let Some((encoding, endian)) = quicktime_pcm(&self.compression, self.bits) else {
            let name = codec_of_type(&self.compression);
            let detail = name.map_or_else(
                || format!("compression \"{}\" of {} bits", self.compression.escape_ascii(), self.bits),
                str::to_owned,
            );
            return Err(Error::Unsupported { container: "aiff", detail });
        };
        if encoding == Encoding::S16 {
            refuse_bursts("aiff", source)?;
        }
        let end = end(source, f64::from(rate) * channels as f64 * encoding.bytes() as f64);
        Ok(Box::new(Samples::new(encoding, endian, rate, channels, end)))
    }
}

/// The samples of a type of AIFF-C and QuickTime, with `bits` as far as the type does not say it.
pub(super) fn quicktime_pcm(kind: &[u8; 4], bits: u16) -> Option<(Encoding, Endian)> {
    let signed = |bits: u16| match bits.div_ceil(8) {
        1 => Some(Encoding::S8),
        bytes => Encoding::integer(u32::from(bytes)),
    };
    Some(match kind {
        b"NONE" | b"twos" => (signed(bits)?, Endian::Big),
        b"sowt" => (signed(bits)?, Endian::Little),
        b"raw " => (Encoding::U8, Endian::Big),
        b"in24" => (Encoding::S24, Endian::Big),
        b"in32" => (Encoding::S32, Endian::Big),
        b"42ni" => (Encoding::S24, Endian::Little),
        b"23ni" => (Encoding::S32, Endian::Little),
        b"fl32" | b"FL32" => (Encoding::F32, Endian::Big),
        b"fl64" | b"FL64" => (Encoding::F64, Endian::Big),
        b"ulaw" | b"ULAW" => (Encoding::MuLaw, Endian::Big),
        b"alaw" | b"ALAW" => (Encoding::ALaw, Endian::Big),
        _ => return None,
    })
}

/// The names of codecs that are not read, by their type in AIFF-C, QuickTime, MP4 and CAF.
pub(super) fn codec_of_type(kind: &[u8; 4]) -> Option<&'static str> {
    Some(match kind {
        b"GSM " | b"agsm" => "GSM 6.10",
        b"MAC3" | b"MAC6" => "MACE",
        b"QDM2" | b"QDMC" => "QDesign Music",
        b"Qclp" | b"QclP" | b"sqcp" => "QCELP",
        b"ima4" => "IMA ADPCM",
        b"G722" => "G.722 ADPCM",
        b"G726" => "G.726 ADPCM",
        b"ac-3" | b"sac3" | b"AC-3" => "AC-3",
        b"ec-3" => "E-AC-3",
        b"ac-4" => "AC-4",
        b"dtsc" | b"dtsh" | b"dtsl" | b"dtse" | b"dtsx" | b"DTS " => "DTS",
        b"mlpa" => "Dolby TrueHD",
        b"samr" => "AMR",
        b"sawb" => "AMR-WB",
        b"sawp" => "AMR-WB+",
        b"sevc" | b"sevs" => "EVRC",
        b"aach" | b"aacp" => "HE-AAC",
        b"aacl" => "AAC-LD",
        b"aace" | b"aacf" => "AAC-ELD",
        b"usac" => "xHE-AAC (USAC)",
        b"ilbc" => "iLBC",
        b"alas" => "MPEG-4 ALS",
        b"mha1" | b"mhm1" => "MPEG-H 3D Audio",
        b"wma " | b"WMA2" | b"owma" => "Windows Media Audio (WMA)",
        b"dsd " | b"DSD " => "DSD",
        b"drms" | b"enca" => "encrypted audio (DRM)",
        b"spex" => "Speex",
        b"mp4a" => "AAC",
        _ => return None,
    })
}
