//! Tensors in JSON: `data`, flat or nested as the shape says; and arrays that end where memory would not.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::value::RawValue;

use super::error::found_by_serde;

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

/// Reads the elements of a tensor, in row-major order.
///
/// `count` is the product of `shape`, none of which may be 0. An array of that many elements is taken too, as the protocol
/// has it, whatever the shape.
///
/// # Errors
/// What is wrong, for the client.
pub(super) fn tensor<'a, T: Deserialize<'a>>(
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

    fn floats(json: &str, shape: &[usize]) -> Result<Vec<f32>, String> {
        let raw: &RawValue = serde_json::from_str(json).expect("JSON");
        tensor(raw, shape, shape.iter().product())
    }

    #[test]
    fn flat_and_nested_arrays_are_the_same_tensor() {
        let wanted = [1.0, -2.5, 3.0, 4.0, 5.0, 6e-3];
        for json in ["[1,-2.5,3,4,5,6e-3]", "[[1,-2.5,3],[4,5,6e-3]]", "[ [1,\n -2.5, 3 ], [ 4, 5, 6e-3 ] ]"] {
            assert_eq!(floats(json, &[2, 3]).expect(json), wanted);
        }
        assert_eq!(floats("[[[1,-2.5,3],[4,5,6e-3]]]", &[1, 2, 3]).expect("three levels"), wanted);
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
            let problem = floats(json, &[2, 3]).expect_err(json);
            assert!(problem.contains(message), "{json}: {problem}");
        }
        assert!(floats("[1]", &[usize::MAX]).expect_err("no such array").contains("too short"));
    }

    #[test]
    fn strings_are_borrowed() {
        let json = r#"["QUJD", "a\u0041"]"#;
        let raw: &RawValue = serde_json::from_str(json).expect("JSON");
        let found: Vec<Text<'_>> = tensor(raw, &[2], 2).expect("two strings");
        assert!(matches!(&found[0].0, Cow::Borrowed("QUJD")));
        assert_eq!(found[1].0, "aA");
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
