//! Builds the router so that a route is closed unless it is put among the open ones by name.

use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::ApiMethodRouter;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::MethodRouter;

use super::auth::{self, Scope};
use super::bodies::BodyLimit;
use super::guard;
use super::openapi;
use super::state::ApiState;

/// The list of routes, and what the tests walk over.
pub(super) struct Routes {
    pub(super) open: ApiRouter<ApiState>,
    pub(super) closed: ApiRouter<ApiState>,
    pub(super) paths: Vec<(&'static str, Option<Scope>)>,
}

impl Routes {
    pub(super) fn new() -> Self {
        Self {
            open: ApiRouter::new(),
            closed: ApiRouter::new(),
            paths: Vec::new(),
        }
    }

    /// For anyone. Its handlers read bodies by themselves, if they take any.
    pub(super) fn open(mut self, path: &'static str, methods: ApiMethodRouter<ApiState>) -> Self {
        self.paths.push((path, None));
        self.open = self.open.api_route(path, within(guard::PATIENCE, methods));
        self
    }

    /// For anyone, and no part of the API's description.
    pub(super) fn open_page(mut self, path: &'static str, methods: MethodRouter<ApiState>) -> Self {
        self.paths.push((path, None));
        self.open = self
            .open
            .route(path, within(guard::PATIENCE, methods.into()));
        self
    }

    /// For anyone: a page with a form.
    pub(super) fn open_form(self, path: &'static str, methods: MethodRouter<ApiState>) -> Self {
        self.open_page(path, with_body(guard::FORM, methods.into()).into())
    }

    pub(super) fn closed(
        self,
        scope: Scope,
        path: &'static str,
        methods: ApiMethodRouter<ApiState>,
    ) -> Self {
        self.closed_within(guard::PATIENCE, guard::JSON, scope, path, methods)
    }

    /// For work that takes its time.
    pub(super) fn closed_slow(
        self,
        scope: Scope,
        path: &'static str,
        methods: ApiMethodRouter<ApiState>,
    ) -> Self {
        self.closed_within(guard::LONG_PATIENCE, guard::JSON, scope, path, methods)
    }

    /// Takes a component as its body.
    pub(super) fn closed_upload(
        self,
        scope: Scope,
        path: &'static str,
        methods: ApiMethodRouter<ApiState>,
    ) -> Self {
        let methods = methods.layer(DefaultBodyLimit::max(guard::MAX_COMPONENT_BYTES));
        self.closed_within(guard::LONG_PATIENCE, guard::COMPONENT, scope, path, methods)
    }

    pub(super) fn closed_page(
        mut self,
        scope: Scope,
        path: &'static str,
        methods: MethodRouter<ApiState>,
    ) -> Self {
        self.paths.push((path, Some(scope)));
        let methods = with_body(guard::FORM, within(guard::PATIENCE, methods.into()));
        self.closed = self.closed.route(path, scoped(methods, scope));
        self
    }

    fn closed_within(
        mut self,
        patience: Duration,
        body: BodyLimit,
        scope: Scope,
        path: &'static str,
        methods: ApiMethodRouter<ApiState>,
    ) -> Self {
        self.paths.push((path, Some(scope)));
        let methods = scoped(with_body(body, within(patience, methods)), scope);
        self.closed = self.closed.api_route_with(path, methods, |item| {
            item.security_requirement_scopes(openapi::TOKEN, [scope.as_str()])
        });
        self
    }
}

fn within(patience: Duration, methods: ApiMethodRouter<ApiState>) -> ApiMethodRouter<ApiState> {
    methods.layer(from_fn(move |request, next| {
        guard::give_up_after(patience, request, next)
    }))
}

fn with_body(limit: BodyLimit, methods: ApiMethodRouter<ApiState>) -> ApiMethodRouter<ApiState> {
    methods.layer(from_fn(move |request, next| {
        guard::read_body(limit, request, next)
    }))
}

fn scoped(methods: ApiMethodRouter<ApiState>, scope: Scope) -> ApiMethodRouter<ApiState> {
    methods.layer(from_fn(move |request, next| {
        auth::require(scope, request, next)
    }))
}
