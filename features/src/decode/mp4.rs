//! The edit list of an MP4 track, which symphonia reads but does not apply: how many samples the encoder put before the music.

/// Samples to leave out at the start of the track `track_id` (in ticks of its own clock); 0 if the file does not say so.
///
/// ISO/IEC 14496-12, 8.6.6: `moov / trak / edts / elst`; the first entry with a media time of 0 or more is where it starts.
pub(super) fn encoder_delay(bytes: &[u8], track_id: u32) -> u64 {
    let delay_of = |trak: &[u8]| {
        let list = child(child(trak, b"edts")?, b"elst")?;
        let (is_long, entries) = (*list.first()? == 1, list.get(8..)?);
        let media_times = entries.chunks_exact(if is_long { 20 } else { 12 }).map(|entry| match is_long {
            true => entry[8..16].as_array().map_or(-1, |v| i64::from_be_bytes(*v)),
            false => entry[4..8].as_array().map_or(-1, |v| i64::from(i32::from_be_bytes(*v))),
        });
        media_times.map(u64::try_from).find_map(Result::ok)
    };
    let is_wanted = |trak: &&[u8]| {
        let header = child(trak, b"tkhd").unwrap_or_default();
        let at = if header.first() == Some(&1) { 20 } else { 12 };
        header.get(at..at + 4) == Some(&track_id.to_be_bytes())
    };
    let movie = child(bytes, b"moov").unwrap_or_default();
    let track = boxes(movie).filter(|(kind, _)| *kind == b"trak").map(|(_, body)| body).find(is_wanted);
    track.and_then(delay_of).unwrap_or(0)
}

/// The body of the first box of `kind` in `bytes`.
fn child<'b>(bytes: &'b [u8], kind: &[u8; 4]) -> Option<&'b [u8]> {
    boxes(bytes).find(|(found, _)| *found == kind).map(|(_, body)| body)
}

/// The boxes that follow each other in `bytes`: kind and body. Ends at the first that does not fit.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = (&[u8; 4], &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let size = u32::from_be_bytes(*rest.first_chunk::<4>()?);
        let kind = rest.get(4..8)?.as_array()?;
        // 0 means to the end, and 1 that 64 bits of size follow.
        let (header, size) = match size {
            0 => (8, rest.len()),
            1 => (16, usize::try_from(u64::from_be_bytes(*rest.get(8..16)?.as_array()?)).ok()?),
            size => (8, size as usize),
        };
        let body = rest.get(header..size)?;
        rest = &rest[size..];
        Some((kind, body))
    })
}
