//! The tensors of a request: from where their elements are to songs.

use axum::body::Bytes;
use serde_json::value::RawValue;

use super::{
    AUDIO, Datatype, InferenceError, Input, LOG_MEL, LogMels, MAX_SONGS, binary,
    error::quoted,
    json::{self, Object, Text},
    wire::{InputParameters, InputTensor},
};
use crate::api::upload::base64;

impl InputTensor<'_> {
    /// Reads it, from the front of `binary` if it is there.
    pub(super) fn read(&self, binary: Option<&mut Bytes>) -> Result<Input, InferenceError> {
        let input = match &*self.name {
            AUDIO => self.elements(Datatype::Bytes, binary).and_then(|elements| self.audio(elements)).map(Input::Audio),
            LOG_MEL => {
                self.elements(Datatype::Fp32, binary).and_then(|elements| self.log_mels(elements)).map(Input::LogMel)
            }
            _ => Err("there is no such input; there are `audio` and `log_mel`".to_owned()),
        };
        input.map_err(|problem| InferenceError::input(&self.name, problem))
    }

    /// Where its elements are, if it has the datatype that is wanted and they are where it says.
    fn elements(&self, wanted: Datatype, binary: Option<&mut Bytes>) -> Result<Elements<'_>, String> {
        if self.datatype != wanted.name() {
            return Err(format!("its datatype is `{}`; send {}", quoted(&self.datatype), wanted.name()));
        }
        if self.parameters().is_some_and(|parameters| parameters.shared_memory_region.is_some()) {
            return Err("shared memory is not supported; send its data in the body".to_owned());
        }
        let size = self.parameters().and_then(|parameters| parameters.binary_data_size);
        match (size, self.data, binary) {
            (Some(_), Some(_), _) => Err("it has both `data` and `binary_data_size`; send one of them".to_owned()),
            (None, None, _) => Err("it has neither `data` nor `binary_data_size`; send one of them".to_owned()),
            (None, Some(data), _) => Ok(Elements::Json(data)),
            (Some(_), None, None) => {
                Err("it has `binary_data_size`, and the request no header `Inference-Header-Content-Length`; send both"
                    .to_owned())
            }
            (Some(size), None, Some(binary)) => match usize::try_from(size) {
                Ok(size) if size <= binary.len() => Ok(Elements::Binary(binary.split_to(size))),
                _ => Err(format!("its `binary_data_size` is {size}, and {} bytes follow the JSON", binary.len())),
            },
        }
    }

    fn parameters(&self) -> Option<&InputParameters<'_>> {
        self.parameters.as_ref().map(|Object(parameters)| parameters)
    }

    fn audio(&self, elements: Elements<'_>) -> Result<Vec<Bytes>, String> {
        let shape = self.dimensions()?;
        let songs = match *shape.as_slice() {
            // The second is how MLServer's clients write a list of strings.
            [songs] | [songs, 1] => within_limit(songs)?,
            _ => return Err(format!("its shape is {shape:?}; send [songs]")),
        };
        let files = match elements {
            Elements::Binary(data) => binary::elements(&data, songs)?,
            Elements::Json(data) => {
                let content_type = self.parameters().and_then(|parameters| parameters.content_type.as_deref());
                if content_type.is_some_and(|content_type| content_type != "base64") {
                    return Err(
                        "its `content_type` is not `base64`; text in JSON cannot hold a file otherwise".to_owned()
                    );
                }
                let strings: Vec<Text<'_>> = json::tensor(data, &shape, songs)?;
                let decode = |(index, Text(text)): (usize, &Text<'_>)| {
                    let file =
                        base64::decode(text).map_err(|problem| format!("element {index} is not base64: {problem}"))?;
                    Ok(Bytes::from(file))
                };
                strings.iter().enumerate().map(decode).collect::<Result<_, String>>()?
            }
        };
        match files.iter().position(Bytes::is_empty) {
            Some(index) => Err(format!("element {index} has 0 bytes; send a whole audio file in each")),
            None => Ok(files),
        }
    }

    fn log_mels(&self, elements: Elements<'_>) -> Result<LogMels, String> {
        let shape = self.dimensions()?;
        let (songs, bands, frames) = match *shape.as_slice() {
            [bands, frames] => (1, bands, frames),
            [songs, bands, frames] => (within_limit(songs)?, bands, frames),
            _ => {
                return Err(format!(
                    "its shape is {shape:?}; send [songs, bands, frames], or [bands, frames] for one song"
                ));
            }
        };
        let count = songs.checked_mul(bands).and_then(|count| count.checked_mul(frames));
        let count = count.ok_or_else(|| format!("its shape is {shape:?}, more than any memory holds"))?;
        let values: Vec<f32> = match elements {
            Elements::Binary(data) => binary::floats(&data, count)?,
            Elements::Json(data) => json::tensor(data, &shape, count)?,
        };
        match values.iter().position(|value| !value.is_finite()) {
            Some(index) => Err(format!(
                "element {index} is {}; send levels in dB, all finite",
                values.get(index).copied().unwrap_or(f32::NAN)
            )),
            None => Ok(LogMels::new(bands, frames, values)),
        }
    }

    /// The shape, of which no dimension may be below 1.
    fn dimensions(&self) -> Result<Vec<usize>, String> {
        let dimension = |&size: &i64| usize::try_from(size).ok().filter(|size| *size > 0);
        self.shape
            .iter()
            .map(dimension)
            .collect::<Option<_>>()
            .ok_or_else(|| format!("its shape is {:?}; each dimension is 1 or more", self.shape))
    }
}

/// Where the elements of a tensor are.
enum Elements<'a> {
    Json(&'a RawValue),
    Binary(Bytes),
}

fn within_limit(songs: usize) -> Result<usize, String> {
    if songs > MAX_SONGS {
        return Err(format!("its shape says {songs} songs; send at most {MAX_SONGS} in a request"));
    }
    Ok(songs)
}
