//! One operation of the API, declared in one place: method, path, scope, documentation and handler.

use std::time::Duration;

use aide::axum::routing::{ApiMethodRouter, delete_with, get_with, post_with, put_with};
use aide::operation::OperationHandler;
use aide::transform::TransformOperation;
use aide::{OperationInput, OperationOutput};
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;

use super::bodies::BodyLimit;
use super::error::ApiError;
use super::guard;
use super::state::ApiState;
use crate::api_types::scope::Scope;

/// Access of an operation that needs no token.
pub(crate) const ANYONE: Option<Scope> = None;

type BuildMethods = Box<dyn FnOnce(Docs) -> ApiMethodRouter<ApiState>>;
type Describe = Box<dyn FnOnce(TransformOperation<'_>) -> TransformOperation<'_>>;

/// An operation. Without further words it takes JSON, and works on it for seconds.
pub(crate) struct Endpoint {
    pub(super) path: &'static str,
    pub(super) access: Option<Scope>,
    pub(super) timeout: Duration,
    /// Limit of the body; none for handlers that read bodies by themselves, if they take any.
    pub(super) body: Option<BodyLimit>,
    pub(super) is_described: bool,
    docs: Docs,
    build: BuildMethods,
}

/// Documentation of an operation, for the description of the API.
#[derive(Default)]
struct Docs {
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: Option<&'static str>,
    /// When the operation answers 429.
    too_many: Option<&'static str>,
    more: Vec<Describe>,
}

macro_rules! method {
    ($name:ident, $build:ident) => {
        /// Declares an operation of this method; the access is a scope, or [`ANYONE`].
        pub(crate) fn $name<H, I, O, T>(
            access: impl Into<Option<Scope>>,
            path: &'static str,
            handler: H,
        ) -> Self
        where
            H: Handler<T, ApiState> + OperationHandler<I, O>,
            I: OperationInput,
            O: OperationOutput,
            T: 'static,
        {
            let build = move |docs: Docs| $build(handler, |operation| docs.written_into(operation));
            Self::new(access.into(), path, Box::new(build))
        }
    };
}

impl Endpoint {
    method!(get, get_with);
    method!(post, post_with);
    method!(put, put_with);
    method!(delete, delete_with);

    fn new(access: Option<Scope>, path: &'static str, build: BuildMethods) -> Self {
        Self {
            path,
            access,
            timeout: guard::TIMEOUT,
            body: access.map(|_| guard::JSON),
            is_described: true,
            docs: Docs {
                too_many: access.map(|_| "Too many wrong tokens came from this address"),
                ..Docs::default()
            },
            build,
        }
    }

    /// Name of the operation for generated clients.
    pub(crate) fn id(mut self, id: &'static str) -> Self {
        self.docs.id = id;
        self
    }

    pub(crate) fn summary(mut self, summary: &'static str) -> Self {
        self.docs.summary = summary;
        self
    }

    pub(crate) fn description(mut self, description: &'static str) -> Self {
        self.docs.description = Some(description);
        self
    }

    /// Documents when the operation answers 429, where it needs no token.
    pub(crate) fn too_many(mut self, description: &'static str) -> Self {
        self.docs.too_many = Some(description);
        self
    }

    /// Documents an answer that the handler's type does not show.
    pub(crate) fn returns<const STATUS: u16, R: OperationOutput>(self) -> Self {
        self.documented(|operation| operation.response::<STATUS, R>())
    }

    /// Changes the documentation in a way that has no method of its own.
    pub(crate) fn documented(
        mut self,
        describe: impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> + 'static,
    ) -> Self {
        self.docs.more.push(Box::new(describe));
        self
    }

    /// Allows minutes instead of seconds: a probe runs, a component is compiled, SQL is evaluated.
    pub(crate) fn slow(mut self) -> Self {
        self.timeout = guard::LONG_TIMEOUT;
        self
    }

    /// Allows minutes, and a body as large as a component.
    pub(crate) fn takes_component(self) -> Self {
        Self {
            body: Some(guard::COMPONENT),
            ..self.slow()
        }
    }

    /// Sets the limit of the body.
    pub(crate) fn set_body(&mut self, limit: BodyLimit) {
        self.body = Some(limit);
    }

    /// Leaves the operation out of the description.
    pub(crate) fn undocumented(mut self) -> Self {
        self.is_described = false;
        self
    }

    /// Returns the handler with its documentation.
    pub(super) fn into_methods(mut self, tag: &'static str) -> ApiMethodRouter<ApiState> {
        self.docs.tag = tag;
        let methods = (self.build)(self.docs);
        match self.body {
            Some(body) => methods.layer(DefaultBodyLimit::max(body.bytes)),
            None => methods,
        }
    }
}

impl Docs {
    fn written_into(self, operation: TransformOperation<'_>) -> TransformOperation<'_> {
        let operation = operation.id(self.id).tag(self.tag).summary(self.summary);
        let operation = match self.description {
            Some(description) => operation.description(description),
            None => operation,
        };
        let operation = match self.too_many {
            Some(description) => operation
                .response_with::<429, ApiError, _>(|response| response.description(description)),
            None => operation,
        };
        self.more
            .into_iter()
            .fold(operation, |operation, describe| describe(operation))
    }
}
