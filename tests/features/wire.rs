//! SQL over the PostgreSQL protocol: the clients that people have work, and nothing is harmed.

mod clients;
mod grafana;
mod protocol;

use extrack_tests::{TestRuntime, Vendor};

/// A program that speaks the protocol, with a service that was checked once.
async fn watched() -> (TestRuntime, Vendor) {
    let vendor = Vendor::start().await;
    let yaml = format!(
        "services: [{{name: Shop, baseUrl: \"{}\", monitoring: {{interval: 3600}}}}]\n",
        vendor.url()
    );
    let runtime = TestRuntime::builder()
        .services(yaml)
        .env("EXTRACK_PG_LISTEN", "127.0.0.1:0")
        .start()
        .await;
    runtime.api().check("shop").await;
    (runtime, vendor)
}

/// The same without a service.
async fn started() -> TestRuntime {
    TestRuntime::builder()
        .env("EXTRACK_PG_LISTEN", "127.0.0.1:0")
        .start()
        .await
}
