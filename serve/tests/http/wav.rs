//! Seeded sounds, as WAV and FLAC.

use std::io::Cursor;

pub(crate) const RATE: u32 = 22_050;

/// The three sounds that the test model tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sound {
    Low,
    High,
    Noise,
}

impl Sound {
    pub(crate) const ALL: [Self; 3] = [Self::Low, Self::High, Self::Noise];

    /// The label that the test model has for it.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Low => "blues",
            Self::High => "classical",
            Self::Noise => "metal",
        }
    }

    /// Seconds of it; `seed` changes the pitch and the noise.
    pub(crate) fn samples(self, seconds: f64, seed: u64) -> Vec<f32> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        let pitch = 1.0 + f64::from(random()) * 0.05;
        let tone = |n: u32, hz: f64| (f64::from(n) / f64::from(RATE) * hz * pitch * std::f64::consts::TAU).sin() as f32;
        (0..(seconds * f64::from(RATE)) as u32)
            .map(|n| match self {
                Self::Low => 0.4 * tone(n, 110.0) + 0.01 * random(),
                Self::High => 0.4 * tone(n, 3000.0) + 0.01 * random(),
                Self::Noise => 0.4 * random(),
            })
            .collect()
    }

    pub(crate) fn wav(self, seconds: f64, seed: u64) -> Vec<u8> {
        encode(&self.samples(seconds, seed), RATE)
    }

    /// The same samples as [`Sound::wav`].
    pub(crate) fn flac(self, seconds: f64, seed: u64) -> Vec<u8> {
        flac(&self.samples(seconds, seed))
    }
}

fn rounded(sample: f32) -> i16 {
    (sample * 32_767.0) as i16
}

/// FLAC that compresses nothing: 16-bit mono at [`RATE`], frames of 4096 samples, each as it is.
fn flac(samples: &[f32]) -> Vec<u8> {
    const BLOCK: u16 = 4096;
    let crc = |bytes: &[u8], poly: u16, width: u32| {
        bytes.iter().fold(0_u16, |crc, byte| {
            (0..8).fold(crc ^ (u16::from(*byte) << (width - 8)), |crc, _| {
                if crc >> (width - 1) & 1 == 1 { (crc << 1) ^ poly } else { crc << 1 }
            }) & (u16::MAX >> (16 - width))
        })
    };
    let mut file = b"fLaC\x80\0\0\x22".to_vec();
    file.extend([BLOCK.to_be_bytes(), BLOCK.to_be_bytes()].concat());
    file.extend([0; 6]);
    // 20 bits of rate, 3 of channels - 1, 5 of bits - 1, 36 of samples.
    file.extend((u64::from(RATE) << 44 | 15 << 36 | samples.len() as u64).to_be_bytes());
    file.extend([0; 16]);
    for (samples, number) in samples.chunks(BLOCK.into()).zip(0u8..) {
        assert!(number < 0x80, "a number of one byte");
        let mut frame = vec![0xff, 0xf8, 0x70, 0x08, number];
        frame.extend((samples.len() as u16 - 1).to_be_bytes());
        frame.push(crc(&frame, 7, 8) as u8);
        // A subframe of samples as they are.
        frame.push(0x02);
        frame.extend(samples.iter().flat_map(|&sample| rounded(sample).to_be_bytes()));
        frame.extend(crc(&frame, 0x8005, 16).to_be_bytes());
        file.extend(frame);
    }
    file
}

/// 16-bit mono.
pub(crate) fn encode(samples: &[f32], sample_rate: u32) -> Vec<u8> {
    let spec =
        hound::WavSpec { channels: 1, sample_rate, bits_per_sample: 16, sample_format: hound::SampleFormat::Int };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("writes to memory");
    for sample in samples {
        writer.write_sample(rounded(*sample)).expect("writes to memory");
    }
    writer.finalize().expect("writes to memory");
    bytes.into_inner()
}

/// 32-bit float mono.
pub(crate) fn encode_float(samples: &[f32], sample_rate: u32) -> Vec<u8> {
    let spec =
        hound::WavSpec { channels: 1, sample_rate, bits_per_sample: 32, sample_format: hound::SampleFormat::Float };
    let mut bytes = Cursor::new(Vec::new());
    let mut writer = hound::WavWriter::new(&mut bytes, spec).expect("writes to memory");
    for &sample in samples {
        writer.write_sample(sample).expect("writes to memory");
    }
    writer.finalize().expect("writes to memory");
    bytes.into_inner()
}

/// A canonical WAV header of 44 bytes with the given fields, and `data` behind it.
pub(crate) fn header(
    format_tag: u16,
    channels: u16,
    sample_rate: u32,
    bits: u16,
    data_len: u32,
    data: &[u8],
) -> Vec<u8> {
    let block = channels.wrapping_mul(bits / 8);
    let mut bytes = Vec::new();
    bytes.extend_from_slice(b"RIFF");
    bytes.extend_from_slice(&data_len.wrapping_add(36).to_le_bytes());
    bytes.extend_from_slice(b"WAVEfmt \x10\0\0\0");
    bytes.extend_from_slice(&format_tag.to_le_bytes());
    bytes.extend_from_slice(&channels.to_le_bytes());
    bytes.extend_from_slice(&sample_rate.to_le_bytes());
    bytes.extend_from_slice(&sample_rate.wrapping_mul(u32::from(block)).to_le_bytes());
    bytes.extend_from_slice(&block.to_le_bytes());
    bytes.extend_from_slice(&bits.to_le_bytes());
    bytes.extend_from_slice(b"data");
    bytes.extend_from_slice(&data_len.to_le_bytes());
    bytes.extend_from_slice(data);
    bytes
}
