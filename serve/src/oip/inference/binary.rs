//! Binary tensor data, Triton's extension of the protocol: what follows the JSON of a body.

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderValue},
};

use super::{HEADER_LENGTH, InferenceError};

/// Bytes before an element of `BYTES` that say how long it is.
const LENGTH: usize = size_of::<u32>();

/// Takes a body apart: the JSON, and the binary data if a header says that there may be some.
///
/// # Errors
/// [`InferenceError::HeaderLength`].
pub(super) fn split(headers: &HeaderMap, body: Bytes) -> Result<(Bytes, Option<Bytes>), InferenceError> {
    let mut lengths = headers.get_all(HEADER_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok((body, None)) };
    let problem = |problem: String| InferenceError::HeaderLength { problem };
    if lengths.next().is_some() {
        return Err(problem("is there more than once".to_owned()));
    }
    let length = decimal(length).ok_or_else(|| problem("is not a whole number".to_owned()))?;
    if length > body.len() {
        return Err(problem(format!("is {length}, and the body has {} bytes", body.len())));
    }
    let mut json = body;
    let data = json.split_off(length);
    Ok((json, Some(data)))
}

fn decimal(value: &HeaderValue) -> Option<usize> {
    let text = value.to_str().ok()?;
    // `parse` alone would take a sign.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Elements of `BYTES`: `count` slices of `data`, each after its length.
///
/// # Errors
/// What is wrong, for the client.
pub(super) fn elements(data: &Bytes, count: usize) -> Result<Vec<Bytes>, String> {
    let mut elements = Vec::new();
    let mut at = 0;
    while at < data.len() {
        let index = elements.len();
        if index == count {
            let left = data.len() - at;
            return Err(format!("its shape says {count} elements, and {left} bytes of its binary data follow them"));
        }
        let length = data.get(at..at + LENGTH).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
        let Some(length) = length else {
            return Err(format!("its binary data ends in the 4 bytes that say how long element {index} is"));
        };
        let start = at + LENGTH;
        let left = data.len() - start;
        let end = usize::try_from(length).ok().filter(|length| *length <= left).map(|length| start + length);
        let Some(end) = end else {
            return Err(format!(
                "element {index} says that it has {length} bytes, and {left} bytes of its binary data are left"
            ));
        };
        elements.push(data.slice(start..end));
        at = end;
    }
    if elements.len() < count {
        return Err(format!("its shape says {count} elements, and its binary data holds {}", elements.len()));
    }
    Ok(elements)
}

/// `count` little-endian f32.
///
/// # Errors
/// What is wrong, for the client.
pub(super) fn floats(data: &[u8], count: usize) -> Result<Vec<f32>, String> {
    if count.checked_mul(size_of::<f32>()) != Some(data.len()) {
        return Err(format!("its shape says {count} numbers of 4 bytes, and its binary data has {} bytes", data.len()));
    }
    let (numbers, _) = data.as_chunks();
    Ok(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect())
}

/// Writes elements of `BYTES` behind each other, each after its length.
pub(super) fn write_elements<'a>(elements: impl Iterator<Item = &'a str>, data: &mut Vec<u8>) {
    for element in elements {
        // Labels come from an artifact of ours: none is of 4 GiB.
        let length = u32::try_from(element.len()).unwrap_or(u32::MAX);
        data.extend_from_slice(&length.to_le_bytes());
        data.extend(element.bytes().take(length as usize));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lengths: &[&str]) -> HeaderMap {
        lengths.iter().map(|length| (HEADER_LENGTH, HeaderValue::from_str(length).expect("a value"))).collect()
    }

    #[test]
    fn the_header_says_where_the_json_ends() {
        let body = Bytes::from_static(b"{}abc");
        assert_eq!(split(&headers(&[]), body.clone()).expect("JSON"), (body.clone(), None));
        let (json, data) = split(&headers(&["2"]), body.clone()).expect("JSON and data");
        assert_eq!((&json[..], data.as_deref()), (&b"{}"[..], Some(&b"abc"[..])));
        assert_eq!(split(&headers(&["5"]), body.clone()).expect("no data").1.as_deref(), Some(&b""[..]));
        for broken in
            [&["6"][..], &["+2"], &["-2"], &[""], &["2.0"], &["0x2"], &["99999999999999999999999"], &["2", "2"]]
        {
            assert!(split(&headers(broken), body.clone()).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn elements_are_slices_of_the_body() {
        let mut data = Vec::new();
        write_elements(["", "abc"].into_iter(), &mut data);
        assert_eq!(data, b"\0\0\0\0\x03\0\0\0abc");
        let data = Bytes::from(data);
        let found = elements(&data, 2).expect("two");
        assert_eq!(found, [&b""[..], b"abc"]);
        assert_eq!(found[1].as_ptr(), data[8..].as_ptr(), "not a copy");
        for (count, message) in [
            (0, "0 elements, and 11 bytes"),
            (1, "1 elements, and 7 bytes"),
            (3, "3 elements, and its binary data holds 2"),
        ] {
            let problem = elements(&data, count).expect_err("another count");
            assert!(problem.contains(message), "{problem}");
        }
    }

    #[test]
    fn floats_must_be_as_many_as_the_shape_says() {
        assert_eq!(floats(&[0, 0, 128, 63, 0, 0, 0, 192], 2).expect("two"), [1.0, -2.0]);
        assert!(floats(&[0; 7], 2).is_err());
        assert!(floats(&[0; 8], usize::MAX / 2).is_err());
        assert_eq!(floats(&[], 0).expect("none"), [0.0; 0]);
    }
}
