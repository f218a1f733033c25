//! Errors of the crates as exceptions of `tonearm._errors`.

use std::{error::Error, io::ErrorKind, path::Path};

use pyo3::{call::PyCallArgs, prelude::*};

/// The exception for `error`, which came up with the file at `path`, if there was one.
///
/// Audio that cannot be read is an `AudioError` with path and reason (`AudioNotFoundError` where there is no such file), an argument
/// that is out of range a `ParameterError`, and anything else a `TonearmError`.
pub(crate) fn error(error: impl Error + 'static, path: Option<&Path>) -> PyErr {
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(found) = cause {
        if let Some(found) = found.downcast_ref::<features::Error>() {
            return of_features(found, path);
        }
        cause = found.source();
    }
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(found) = cause {
        let part = found.to_string();
        // Some messages repeat that of their source.
        if !message.contains(&part) {
            message = format!("{message}: {part}");
        }
        cause = found.source();
    }
    raised("TonearmError", (message,))
}

/// A `ParameterError`, which is a `ValueError`.
pub(crate) fn parameter(message: impl Into<String>) -> PyErr {
    raised("ParameterError", (message.into(),))
}

fn of_features(error: &features::Error, path: Option<&Path>) -> PyErr {
    use features::Error::{Io, Revision, Shape, Spec};
    match error {
        Spec { .. } | Shape { .. } | Revision { .. } => parameter(error.to_string()),
        Io { path: file, source } => {
            let class = if source.kind() == ErrorKind::NotFound { "AudioNotFoundError" } else { "AudioError" };
            let path = path.unwrap_or(file);
            raised(class, ((!path.as_os_str().is_empty()).then_some(path.as_os_str()), source.to_string()))
        }
        _ => raised("AudioError", (path.map(Path::as_os_str), error.to_string())),
    }
}

/// An exception of a class of `tonearm._errors`.
pub(crate) fn raised(class: &str, arguments: impl for<'py> PyCallArgs<'py>) -> PyErr {
    Python::attach(|py| {
        let exception = py
            .import("tonearm._errors")
            .and_then(|errors| errors.getattr(class))
            .and_then(|class| class.call1(arguments));
        match exception {
            Ok(exception) => PyErr::from_value(exception),
            Err(error) => error,
        }
    })
}
