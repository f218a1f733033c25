//! The description of the API, made from the code: `/openapi.json`, and a page that shows it.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    body::Bytes,
    extract::Path,
    http::{HeaderValue, header},
    response::Redirect,
    routing::get,
};
use utoipa::{
    IntoResponses, OpenApi, ToSchema as _,
    openapi::{
        Content, KnownFormat, Object, ObjectBuilder, RefOr, Response, ResponseBuilder, Schema, SchemaFormat, Server,
        Type,
        path::{Operation, Parameter, ParameterIn, PathItem},
        schema::SchemaType,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_swagger_ui::Config;

use super::predict::BatchLine;
use crate::{
    Rejection,
    http::middleware::OPEN,
    rejection::{self, Problem, UNAUTHORIZED},
};

/// The error responses that every route may give.
pub(crate) struct Problems;

impl IntoResponses for Problems {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let mut titles: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
        // The router answers 405 itself.
        for kind in rejection::ALL.iter().filter(|kind| kind.status != 405) {
            titles.entry(kind.status).or_default().push(kind.title);
        }
        titles.into_iter().map(|(status, titles)| (status.to_string(), problem(titles.join("; ")))).collect()
    }
}

/// The response that is a problem.
fn problem(description: impl Into<String>) -> RefOr<Response> {
    let content = Content::new(Some(RefOr::Ref(utoipa::openapi::Ref::from_schema_name(Problem::name()))));
    RefOr::T(ResponseBuilder::new().description(description).content(rejection::MEDIA_TYPE, content).build())
}

/// Bytes as they are: what generated clients send as a file.
pub(super) fn binary() -> Object {
    string().format(Some(SchemaFormat::KnownFormat(KnownFormat::Binary))).build()
}

/// The format of a string that is base64 of an audio file: generators that do not know it read a string.
const AUDIO_BASE64: &str = "audio-base64";

/// An audio file in JSON.
pub(crate) fn audio_base64() -> Object {
    string()
        .description(Some("An audio file in base64, standard or URL-safe, bare or as a `data:` URL."))
        .format(Some(SchemaFormat::Custom(AUDIO_BASE64.to_owned())))
        .min_length(Some(1))
        .content_encoding("base64")
        .content_media_type("audio/*")
        .build()
}

fn string() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// The names that [`ModelName`](crate::config::ModelName) takes, but for those of versions.
const MODEL_NAME: &str = "^[a-z0-9_-][a-z0-9._-]{0,63}$";
/// The names of versions.
const VERSION: &str = "^[0-9a-f]{12}$";

/// The description apart from the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tonearm",
        description = "Classifies audio files by music genre. Errors are `application/problem+json` (RFC 9457); `type` names the kind.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    components(schemas(Problem, BatchLine)),
    tags(
        (name = "predict", description = "Predict the label of audio files"),
        (name = "features", description = "Extract features of audio files"),
        (name = "models", description = "List models and versions"),
        (name = "open inference protocol", description = "The same models for clients of KServe, Triton and MLServer"),
        (name = "service", description = "Health, metrics and kinds of problems"),
    )
)]
pub(crate) struct Api;

/// Adds where the server is, what holds for every route (what bytes and names are), and the security schemes, where a key is required.
pub(crate) fn complete(mut api: utoipa::openapi::OpenApi, requires_key: bool) -> utoipa::openapi::OpenApi {
    // Beside this description, which a proxy may have put below a prefix.
    api.servers = Some(vec![Server::new(".")]);
    for (path, item) in &mut api.paths.paths {
        for operation in operations(item) {
            describe_bytes(operation);
            operation.parameters.iter_mut().flatten().for_each(describe_parameter);
            if requires_key && OPEN.contains(&path.as_str()) {
                operation.security = Some(Vec::new());
            } else if requires_key {
                let responses = &mut operation.responses.responses;
                responses.entry("401".to_owned()).or_insert_with(|| problem(UNAUTHORIZED.title));
            }
        }
    }
    if requires_key {
        let components = api.components.get_or_insert_default();
        let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        components.add_security_scheme("bearer", bearer);
        components.add_security_scheme("key", SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key"))));
        let none: [String; 0] = [];
        api.security =
            Some(vec![SecurityRequirement::new("bearer", none.clone()), SecurityRequirement::new("key", none)]);
    }
    api
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    // Those that there are.
    [&mut item.get, &mut item.post].into_iter().flatten()
}

/// Types of what is described as bytes: files, which the code has as an array of numbers, and text that
/// openapi-generator's clients for Python read as bytes or not at all.
const BYTES: [&str; 3] = ["application/octet-stream", "application/x-ndjson", "application/openmetrics-text"];

/// Has bytes described as a string in the format `binary`.
fn describe_bytes(operation: &mut Operation) {
    let responses = operation.responses.responses.values_mut().filter_map(|response| match response {
        RefOr::T(response) => Some(&mut response.content),
        RefOr::Ref(_) => None,
    });
    let of_responses = responses.flatten();
    let of_request = operation.request_body.iter_mut().flat_map(|body| &mut body.content);
    for (media_type, content) in of_responses.chain(of_request) {
        if BYTES.contains(&media_type.as_str()) {
            content.schema = Some(binary().into());
        }
    }
}

/// Says of a parameter that names a model, or a version, what such names are; and of any that it is left out where it has no value.
fn describe_parameter(parameter: &mut Parameter) {
    let Some(RefOr::T(Schema::Object(schema))) = &mut parameter.schema else { return };
    if let SchemaType::Array(kinds) = &schema.schema_type
        && let Some(kind) = kinds.iter().find(|kind| **kind != Type::Null)
    {
        schema.schema_type = SchemaType::Type(kind.clone());
    }
    let pattern = match (&parameter.parameter_in, parameter.name.as_str()) {
        (ParameterIn::Path, "name") | (ParameterIn::Query, "model") => MODEL_NAME,
        (ParameterIn::Path, "version") | (ParameterIn::Header, "tonearm-version") => VERSION,
        _ => return,
    };
    schema.pattern = Some(pattern.to_owned());
}

/// `/openapi.json`, and `/docs/`, which shows it. Every address is relative: a proxy may have put the server below a prefix.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>(api: &utoipa::openapi::OpenApi) -> Router<S> {
    // Written once: it is the same for every client.
    let json = serde_json::to_vec(api).map(Bytes::from).map_err(|error| error.to_string());
    let json = async move || {
        let json = json.map_err(Rejection::internal)?;
        Ok::<_, Rejection>(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], json))
    };
    let config = Arc::new(Config::new(["../openapi.json"]));
    let file = move |name: &str| {
        let file = utoipa_swagger_ui::serve(name, Arc::clone(&config)).map_err(Rejection::internal)?;
        let file = file.ok_or(Rejection::NotFound)?;
        Ok::<_, Rejection>(([(header::CONTENT_TYPE, file.content_type)], Bytes::from(file.bytes.into_owned())))
    };
    let index = file.clone();
    Router::new()
        .route("/openapi.json", get(json))
        .route("/docs", get(async || Redirect::to("docs/")))
        .route("/docs/", get(async move || index("index.html")))
        .route("/docs/{file}", get(async move |Path(name): Path<String>| file(&name)))
}

#[cfg(test)]
mod tests {
    use utoipa::openapi::path::{OperationBuilder, ParameterBuilder};

    use super::*;

    #[test]
    fn bytes_and_names_are_described_as_clients_send_them() {
        let body = utoipa::openapi::request_body::RequestBodyBuilder::new()
            .content("application/octet-stream", Content::new(None::<RefOr<Schema>>));
        let parameter = |name: &str, place| {
            ParameterBuilder::new().name(name).parameter_in(place).schema(Some(string().build())).build()
        };
        let mut operation = OperationBuilder::new()
            .request_body(Some(body.build()))
            .parameter(parameter("name", ParameterIn::Path))
            .parameter(parameter("tonearm-version", ParameterIn::Header))
            .build();
        describe_bytes(&mut operation);
        operation.parameters.iter_mut().flatten().for_each(describe_parameter);
        let json = serde_json::to_value(&operation).expect("JSON");
        let bytes = serde_json::json!({"type": "string", "format": "binary"});
        assert_eq!(json["requestBody"]["content"]["application/octet-stream"]["schema"], bytes);
        assert_eq!(json["parameters"][0]["schema"]["pattern"], MODEL_NAME);
        assert_eq!(json["parameters"][1]["schema"]["pattern"], VERSION);
    }
}
