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
        Content, RefOr, Response, ResponseBuilder, Server,
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_swagger_ui::Config;

use crate::{
    Rejection,
    rejection::{self, Problem},
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
        let response = |titles: Vec<&str>| {
            let content = Content::new(Some(RefOr::Ref(utoipa::openapi::Ref::from_schema_name(Problem::name()))));
            ResponseBuilder::new().description(titles.join("; ")).content(rejection::MEDIA_TYPE, content).build()
        };
        titles.into_iter().map(|(status, titles)| (status.to_string(), RefOr::T(response(titles)))).collect()
    }
}

/// The description apart from the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tonearm",
        description = "Classifies audio files by music genre. Errors are `application/problem+json` (RFC 9457); `type` names the kind.",
        license(name = "MIT OR Apache-2.0"),
    ),
    components(schemas(Problem)),
    tags(
        (name = "predict", description = "Predict the label of audio files"),
        (name = "features", description = "Extract features of audio files"),
        (name = "models", description = "List models and versions"),
        (name = "open inference protocol", description = "The same models for clients of KServe, Triton and MLServer"),
        (name = "service", description = "Health, metrics and kinds of problems"),
    )
)]
pub(crate) struct Api;

/// Adds where the server is, and the security schemes where a key is required.
pub(crate) fn complete(mut api: utoipa::openapi::OpenApi, requires_key: bool) -> utoipa::openapi::OpenApi {
    // Beside this description, which a proxy may have put below a prefix.
    api.servers = Some(vec![Server::new(".")]);
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
