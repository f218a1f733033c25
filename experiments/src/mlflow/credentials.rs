//! Who exports, as the environment says.

use std::env;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Error;

/// Who exports.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nobody in particular.
    #[default]
    None,
    /// Whoever has this token.
    Token(String),
    /// A user and a password.
    User(String, String),
}

impl Credentials {
    /// Those of the variables that MLflow's own client reads; as there, a user goes before a token.
    ///
    /// # Errors
    /// When there is a user without a password, or either cannot be sent.
    pub fn from_env() -> Result<Self, Error> {
        let variable = |name: &str| match env::var(name) {
            Ok(value) if value.is_empty() => Ok(None),
            Ok(value) if value.contains(char::is_control) => Err(wrong(format!("{name} holds more than one line"))),
            Ok(value) => Ok(Some(value)),
            Err(env::VarError::NotPresent) => Ok(None),
            Err(env::VarError::NotUnicode(_)) => Err(wrong(format!("{name} is no UTF-8"))),
        };
        let (user, password) = (variable("MLFLOW_TRACKING_USERNAME")?, variable("MLFLOW_TRACKING_PASSWORD")?);
        match (user, password, variable("MLFLOW_TRACKING_TOKEN")?) {
            (Some(user), Some(password), _) => Ok(Self::User(user, password)),
            (_, _, Some(token)) => Ok(Self::Token(token)),
            (Some(_), None, _) => Err(wrong("MLFLOW_TRACKING_USERNAME needs MLFLOW_TRACKING_PASSWORD".to_owned())),
            (None, Some(_), _) => Err(wrong("MLFLOW_TRACKING_PASSWORD needs MLFLOW_TRACKING_USERNAME".to_owned())),
            _ => Ok(Self::None),
        }
    }

    /// The value of the header `Authorization`.
    pub(super) fn header(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Token(token) => Some(format!("Bearer {token}")),
            Self::User(user, password) => Some(format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))),
        }
    }

    /// What is wrong where a server lets nobody in with them.
    pub(super) fn who(&self) -> &'static str {
        match self {
            Self::None => "nobody was named",
            Self::Token(_) => "it does not know this MLFLOW_TRACKING_TOKEN",
            Self::User(..) => "it does not know this MLFLOW_TRACKING_USERNAME with this MLFLOW_TRACKING_PASSWORD",
        }
    }
}

fn wrong(detail: String) -> Error {
    Error::Credentials { detail }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_is_said_as_the_standard_has_it() {
        assert_eq!(Credentials::None.header(), None);
        assert_eq!(Credentials::Token("abc".to_owned()).header().expect("one"), "Bearer abc");
        // RFC 7617, section 2.
        let user = Credentials::User("Aladdin".to_owned(), "open sesame".to_owned());
        assert_eq!(user.header().expect("one"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
