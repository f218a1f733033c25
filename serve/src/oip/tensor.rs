//! Tensors of the protocol: their names and datatypes, their elements in JSON (flat or nested as the shape says) and in binary
//! tensor data, Triton's extension, which follows the JSON of a body.

use std::{borrow::Cow, fmt, marker::PhantomData};

use axum::{
    body::Bytes,
    http::{HeaderMap, HeaderName, HeaderValue},
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Unexpected, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;

use super::error::{InferenceError, found_by_serde};

/// The header that says how many bytes of a body are JSON; the rest is binary tensor data.
pub const HEADER_LENGTH: HeaderName = HeaderName::from_static("inference-header-content-length");

/// Clips in one request.
pub const MAX_CLIPS: usize = 64;

/// The input of whole audio files.
pub(super) const AUDIO: &str = "audio";
/// The input of features.
pub(super) const LOG_MEL: &str = "log_mel";

/// Of all datatypes of the protocol, those that the tensors here have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "UPPERCASE")]
#[schema(as = InferenceDatatype)]
pub enum Datatype {
    /// Strings of bytes.
    Bytes,
    /// f32.
    Fp32,
    /// f64.
    Fp64,
}

impl Datatype {
    /// As the protocol writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "BYTES",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
        }
    }
}

/// Bytes before an element of `BYTES` that say how long it is.
const LENGTH: usize = size_of::<u32>();

/// Takes a body apart: the JSON, and the binary data if a header says that there may be some.
///
/// # Errors
/// [`InferenceError::HeaderLength`].
pub(super) fn split_body(headers: &HeaderMap, body: Bytes) -> Result<(Bytes, Option<Bytes>), InferenceError> {
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
pub(super) fn binary_elements(data: &Bytes, count: usize) -> Result<Vec<Bytes>, String> {
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
pub(super) fn binary_floats(data: &[u8], count: usize) -> Result<Vec<f32>, String> {
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

/// A string of the body without a copy, where it has no escapes.
#[derive(Debug, Deserialize)]
pub(super) struct Text<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);

/// A struct that is written as an object: serde takes an array of its members for it too.
#[derive(Debug)]
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Self::Value, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// A whole number, which is one in JSON Schema as `1.0` too.
struct Whole<T>(T);

impl<'de, T: TryFrom<i64>> Deserialize<'de> for Whole<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number<T>(PhantomData<T>);

        impl<T: TryFrom<i64>> Visitor<'_> for Number<T> {
            type Value = Whole<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Self::Value, E> {
                let whole = T::try_from(number).map(Whole);
                whole.map_err(|_| E::invalid_value(Unexpected::Signed(number), &self))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Self::Value, E> {
                match i64::try_from(number) {
                    Ok(number) => self.visit_i64(number),
                    Err(_) => Err(E::invalid_value(Unexpected::Unsigned(number), &self)),
                }
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Self::Value, E> {
                if number.fract() == 0.0 && number.abs() <= LARGEST_WHOLE {
                    self.visit_i64(number as i64)
                } else {
                    Err(E::invalid_value(Unexpected::Float(number), &self))
                }
            }
        }

        deserializer.deserialize_any(Number(PhantomData))
    }
}

/// Up to this an f64 has every whole number.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

/// Reads a whole number, or `null` as none; for `#[serde(deserialize_with)]`.
pub(super) fn whole<'de, D: Deserializer<'de>, T: TryFrom<i64>>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(Option::<Whole<T>>::deserialize(deserializer)?.map(|Whole(number)| number))
}

/// Reads the dimensions of a tensor, at most `MAX`; for `#[serde(deserialize_with)]`.
pub(super) fn dimensions<'de, D: Deserializer<'de>, const MAX: usize>(deserializer: D) -> Result<Vec<i64>, D::Error> {
    let dimensions: Vec<Whole<i64>> = bounded::<_, _, MAX>(deserializer)?;
    Ok(dimensions.into_iter().map(|Whole(dimension)| dimension).collect())
}

/// Reads the elements of a tensor, in row-major order.
///
/// `count` is the product of `shape`, none of which may be 0. An array of that many elements is taken too, as the protocol
/// has it, whatever the shape.
///
/// # Errors
/// What is wrong, for the client.
pub(super) fn json_elements<'a, T: Deserialize<'a>>(
    data: &'a RawValue,
    shape: &[usize],
    count: usize,
) -> Result<Vec<T>, String> {
    let text = data.get();
    // An element and the comma after it are two characters at the least: what is set aside is linear in the text.
    if count > text.len() / 2 {
        return Err(format!("its shape says {count} elements, and its `data` is too short to hold as many"));
    }
    let nested = text.strip_prefix('[').is_some_and(|inner| inner.trim_ascii_start().starts_with('['));
    let flat = [count];
    let shape = if nested { shape } else { &flat };
    let mut elements = Vec::with_capacity(count);
    let mut json = serde_json::Deserializer::from_str(text);
    let array = Array { shape, elements: &mut elements, of: PhantomData };
    array.deserialize(&mut json).map_err(|error| format!("in its `data`: {}", found_by_serde(&error)))?;
    Ok(elements)
}

/// One level of an array.
struct Array<'b, T> {
    /// How many elements it has, and how many each of these.
    shape: &'b [usize],
    elements: &'b mut Vec<T>,
    of: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Array<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Array<'_, T> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of {} elements", self.shape.first().copied().unwrap_or(0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        let (length, inner) = self.shape.split_first().map_or((0, &[][..]), |(length, inner)| (*length, inner));
        for found in 0..length {
            let more = if inner.is_empty() {
                array.next_element()?.map(|element| self.elements.push(element))
            } else {
                array.next_element_seed(Array { shape: inner, elements: &mut *self.elements, of: PhantomData })?
            };
            if more.is_none() {
                return Err(A::Error::custom(format_args!(
                    "an array has {found} elements, and the shape says {length}"
                )));
            }
        }
        // Not read as an element: whatever it is, it is one too many.
        match array.next_element::<serde::de::IgnoredAny>()? {
            None => Ok(()),
            Some(_) => {
                Err(A::Error::custom(format_args!("an array has over {length} elements, and the shape says {length}")))
            }
        }
    }
}

/// Reads an array of at most `MAX` elements, or `null` as an empty one; for `#[serde(deserialize_with)]`.
///
/// `[0,0,…]` takes two bytes an element in a body and many more in memory; it is refused where it gets too long.
pub(super) fn bounded<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Bounded<T, const MAX: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for Bounded<T, MAX> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "an array of at most {MAX} elements")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = array.next_element()? {
                if elements.len() == MAX {
                    return Err(A::Error::invalid_length(MAX + 1, &self));
                }
                elements.push(element);
            }
            Ok(elements)
        }
    }

    deserializer.deserialize_any(Bounded::<T, MAX>(PhantomData))
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
        assert_eq!(split_body(&headers(&[]), body.clone()).expect("JSON"), (body.clone(), None));
        let (json, data) = split_body(&headers(&["2"]), body.clone()).expect("JSON and data");
        assert_eq!((&json[..], data.as_deref()), (&b"{}"[..], Some(&b"abc"[..])));
        assert_eq!(split_body(&headers(&["5"]), body.clone()).expect("no data").1.as_deref(), Some(&b""[..]));
        for broken in
            [&["6"][..], &["+2"], &["-2"], &[""], &["2.0"], &["0x2"], &["99999999999999999999999"], &["2", "2"]]
        {
            assert!(split_body(&headers(broken), body.clone()).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn elements_are_slices_of_the_body() {
        let mut data = Vec::new();
        write_elements(["", "abc"].into_iter(), &mut data);
        assert_eq!(data, b"\0\0\0\0\x03\0\0\0abc");
        let data = Bytes::from(data);
        let found = binary_elements(&data, 2).expect("two");
        assert_eq!(found, [&b""[..], b"abc"]);
        assert_eq!(found[1].as_ptr(), data[8..].as_ptr(), "not a copy");
        for (count, message) in [
            (0, "0 elements, and 11 bytes"),
            (1, "1 elements, and 7 bytes"),
            (3, "3 elements, and its binary data holds 2"),
        ] {
            let problem = binary_elements(&data, count).expect_err("another count");
            assert!(problem.contains(message), "{problem}");
        }
    }

    #[test]
    fn floats_must_be_as_many_as_the_shape_says() {
        assert_eq!(binary_floats(&[0, 0, 128, 63, 0, 0, 0, 192], 2).expect("two"), [1.0, -2.0]);
        assert!(binary_floats(&[0; 7], 2).is_err());
        assert!(binary_floats(&[0; 8], usize::MAX / 2).is_err());
        assert_eq!(binary_floats(&[], 0).expect("none"), [0.0; 0]);
    }

    fn json_floats(json: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let raw: &RawValue = serde_json::from_str(json).expect("JSON");
        json_elements(raw, shape, shape.iter().product())
    }

    #[test]
    fn flat_and_nested_arrays_are_the_same_tensor() {
        let wanted = [1.0, -2.5, 3.0, 4.0, 5.0, 6e-3];
        for json in ["[1,-2.5,3,4,5,6e-3]", "[[1,-2.5,3],[4,5,6e-3]]", "[ [1,\n -2.5, 3 ], [ 4, 5, 6e-3 ] ]"] {
            assert_eq!(json_floats(json, &[2, 3]).expect(json), wanted);
        }
        assert_eq!(json_floats("[[[1,-2.5,3],[4,5,6e-3]]]", &[1, 2, 3]).expect("three levels"), wanted);
    }

    #[test]
    fn other_shapes_are_refused_and_say_which() {
        for (json, message) in [
            ("[1, 2, 3, 4, 5]", "an array has 5 elements, and the shape says 6"),
            ("[1,2,3,4,5,6,7]", "an array has over 6 elements"),
            ("[[1,2],[3,4],[5,6]]", "an array has 2 elements, and the shape says 3"),
            ("[[1,2,3],[4,5,6],[7,8,9]]", "an array has over 2 elements"),
            ("[[1,2,3],4,5,6]", "expected an array of 3 elements"),
            ("[1,2,3,[4,5,6]]", "expected f32"),
            ("[1,2,3,4,5,null]", "expected f32"),
            ("[1,2,3,4,5,\"6\"]", "expected f32"),
            ("[[[1,2,3],[4,5,6]]]", "expected f32"),
            ("\"123456789012\"", "expected an array"),
            ("[]", "too short"),
        ] {
            let problem = json_floats(json, &[2, 3]).expect_err(json);
            assert!(problem.contains(message), "{json}: {problem}");
        }
        assert!(json_floats("[1]", &[usize::MAX]).expect_err("no such array").contains("too short"));
    }

    #[test]
    fn strings_are_borrowed() {
        let json = r#"["QUJD", "a\u0041"]"#;
        let raw: &RawValue = serde_json::from_str(json).expect("JSON");
        let found: Vec<Text<'_>> = json_elements(raw, &[2], 2).expect("two strings");
        assert!(matches!(&found[0].0, Cow::Borrowed("QUJD")));
        assert_eq!(found[1].0, "aA");
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
        #[derive(Debug, Deserialize)]
        struct Numbers {
            #[serde(deserialize_with = "dimensions::<_, 3>")]
            shape: Vec<i64>,
            #[serde(default, deserialize_with = "whole")]
            size: Option<u64>,
        }

        let read = |json: &str| serde_json::from_str(json).map(|Numbers { shape, size }| (shape, size));
        assert_eq!(read(r#"{"shape": [1, 2.0, -3e1], "size": 7.0}"#).expect("whole"), (vec![1, 2, -30], Some(7)));
        assert_eq!(read(r#"{"shape": [], "size": null}"#).expect("none"), (vec![], None));
        for broken in [
            r#"{"shape": [1.5]}"#,
            r#"{"shape": [1e300]}"#,
            r#"{"shape": ["1"]}"#,
            r#"{"shape": [18446744073709551615]}"#,
            r#"{"shape": [], "size": -1}"#,
            r#"{"shape": [1, 1, 1, 1]}"#,
        ] {
            assert!(read(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_long_array_is_refused_where_it_gets_too_long() {
        #[derive(Debug, Deserialize)]
        struct Shape(#[serde(deserialize_with = "bounded::<_, _, 3>")] Vec<i64>);

        assert_eq!(serde_json::from_str::<Shape>("[1,2,3]").expect("three").0, [1, 2, 3]);
        assert!(serde_json::from_str::<Shape>("null").expect("none").0.is_empty());
        let problem = serde_json::from_str::<Shape>("[1,2,3,4,5,x").expect_err("five").to_string();
        assert!(problem.contains("at most 3"), "{problem}");
    }
}
