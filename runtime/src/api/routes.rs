//! Builds the router so that a route is closed unless it is put among the open ones by name.

use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::ApiMethodRouter;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::MethodRouter;

use super::auth::{self, Scope};
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
        Self { open: ApiRouter::new(), closed: ApiRouter::new(), paths: Vec::new() }
    }

    /// For anyone.
    pub(super) fn open(mut self, path: &'static str, methods: ApiMethodRouter<ApiState>) -> Self {
        self.paths.push((path, None));
        self.open = self.open.api_route(path, bounded(methods, guard::PATIENCE));
        self
    }

    /// For anyone, and no part of the API's description.
    pub(super) fn open_page(mut self, path: &'static str, methods: MethodRouter<ApiState>) -> Self {
        self.paths.push((path, None));
        self.open = self.open.route(path, bounded(methods.into(), guard::PATIENCE));
        self
    }

    pub(super) fn closed(self, scope: Scope, path: &'static str, methods: ApiMethodRouter<ApiState>) -> Self {
        self.closed_within(guard::PATIENCE, scope, path, methods)
    }

    /// For work that takes its time.
    pub(super) fn closed_slow(self, scope: Scope, path: &'static str, methods: ApiMethodRouter<ApiState>) -> Self {
        self.closed_within(guard::LONG_PATIENCE, scope, path, methods)
    }

    /// Takes a component as its body.
    pub(super) fn closed_upload(self, scope: Scope, path: &'static str, methods: ApiMethodRouter<ApiState>) -> Self {
        self.closed_slow(scope, path, methods.layer(DefaultBodyLimit::max(guard::MAX_COMPONENT_BYTES)))
    }

    pub(super) fn closed_page(mut self, scope: Scope, path: &'static str, methods: MethodRouter<ApiState>) -> Self {
        self.paths.push((path, Some(scope)));
        self.closed = self.closed.route(path, scoped(bounded(methods.into(), guard::PATIENCE), scope));
        self
    }

    fn closed_within(
        mut self,
        patience: Duration,
        scope: Scope,
        path: &'static str,
        methods: ApiMethodRouter<ApiState>,
    ) -> Self {
        self.paths.push((path, Some(scope)));
        let methods = scoped(bounded(methods, patience), scope);
        self.closed = self
            .closed
            .api_route_with(path, methods, |item| item.security_requirement_scopes(openapi::TOKEN, [scope.as_str()]));
        self
    }
}

fn bounded(methods: ApiMethodRouter<ApiState>, patience: Duration) -> ApiMethodRouter<ApiState> {
    methods.layer(from_fn(move |request, next| guard::give_up_after(patience, request, next)))
}

fn scoped(methods: ApiMethodRouter<ApiState>, scope: Scope) -> ApiMethodRouter<ApiState> {
    methods.layer(from_fn(move |request, next| auth::require(scope, request, next)))
}
