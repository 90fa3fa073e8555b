//! Builds the router so that a route is closed unless it is declared for anyone, by name.

use std::time::Duration;

use aide::axum::ApiRouter;
use aide::axum::routing::ApiMethodRouter;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use axum::routing::MethodRouter;

use super::auth;
use super::bodies::BodyLimit;
use super::endpoint::Endpoint;
use super::guard;
use super::openapi;
use super::state::ApiState;
use crate::api_types::scope::Scope;

/// The list of routes.
pub(crate) struct Routes {
    pub(crate) open: ApiRouter<ApiState>,
    pub(crate) closed: ApiRouter<ApiState>,
    /// Paths with the scopes that they need, for the tests that walk over all routes.
    pub(crate) paths: Vec<(&'static str, Option<Scope>)>,
}

impl Routes {
    pub(crate) fn new() -> Self {
        Self {
            open: ApiRouter::new(),
            closed: ApiRouter::new(),
            paths: Vec::new(),
        }
    }

    /// Adds the operations of a resource, under one tag of the API's description.
    pub(crate) fn resource(self, tag: &'static str, endpoints: Vec<Endpoint>) -> Self {
        endpoints
            .into_iter()
            .fold(self, |routes, endpoint| routes.endpoint(tag, endpoint))
    }

    /// Adds pages at one path, which are no part of the API's description.
    pub(crate) fn page(
        self,
        access: impl Into<Option<Scope>>,
        path: &'static str,
        methods: MethodRouter<ApiState>,
    ) -> Self {
        let methods = with_body(guard::FORM, within(guard::TIMEOUT, methods.into()));
        self.add(access.into(), path, methods, false)
    }

    /// Adds pages that take minutes instead of seconds.
    pub(crate) fn slow_page(
        self,
        access: impl Into<Option<Scope>>,
        path: &'static str,
        methods: MethodRouter<ApiState>,
    ) -> Self {
        let methods = with_body(guard::FORM, within(guard::LONG_TIMEOUT, methods.into()));
        self.add(access.into(), path, methods, false)
    }

    /// Adds pages that take a form of another size.
    pub(crate) fn form_page(
        self,
        access: impl Into<Option<Scope>>,
        path: &'static str,
        limit: BodyLimit,
        methods: MethodRouter<ApiState>,
    ) -> Self {
        let methods = methods.layer(DefaultBodyLimit::max(limit.bytes));
        let methods = with_body(limit, within(guard::TIMEOUT, methods.into()));
        self.add(access.into(), path, methods, false)
    }

    /// Adds pages that take a component in a form.
    pub(crate) fn upload_page(
        self,
        access: impl Into<Option<Scope>>,
        path: &'static str,
        methods: MethodRouter<ApiState>,
    ) -> Self {
        let limit = guard::COMPONENT_FORM;
        let methods = methods.layer(DefaultBodyLimit::max(limit.bytes));
        let methods = with_body(limit, within(guard::LONG_TIMEOUT, methods.into()));
        self.add(access.into(), path, methods, false)
    }

    fn endpoint(self, tag: &'static str, endpoint: Endpoint) -> Self {
        let (path, access) = (endpoint.path, endpoint.access);
        let (timeout, body, is_described) =
            (endpoint.timeout, endpoint.body, endpoint.is_described);
        let mut methods = within(timeout, endpoint.into_methods(tag));
        if let Some(limit) = body {
            methods = with_body(limit, methods);
        }
        self.add(access, path, methods, is_described)
    }

    fn add(
        mut self,
        access: Option<Scope>,
        path: &'static str,
        methods: ApiMethodRouter<ApiState>,
        is_described: bool,
    ) -> Self {
        self.paths.push((path, access));
        let (router, methods) = match access {
            Some(scope) => (&mut self.closed, scoped(methods, scope)),
            None => (&mut self.open, methods),
        };
        let routes = std::mem::replace(router, ApiRouter::new());
        *router = match access {
            _ if !is_described => routes.route(path, MethodRouter::from(methods)),
            Some(scope) => routes.api_route_with(path, methods, |item| {
                item.security_requirement_scopes(openapi::TOKEN, [scope.as_str()])
            }),
            None => routes.api_route(path, methods),
        };
        self
    }
}

fn within(timeout: Duration, methods: ApiMethodRouter<ApiState>) -> ApiMethodRouter<ApiState> {
    methods.layer(from_fn(move |request, next| {
        guard::give_up_after(timeout, request, next)
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
