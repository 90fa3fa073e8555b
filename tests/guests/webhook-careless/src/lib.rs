//! Takes whatever comes without looking at who sent it, and does as it asks.

use extrack_plugin::prelude::*;
use extrack_plugin::signatures;

#[derive(Settings)]
struct Settings {
    secret: Option<Secret>,
}

#[webhook]
fn receive(delivery: &Delivery, settings: &Settings) -> Result<Reception, Reject> {
    let secret = || {
        settings
            .secret
            .clone()
            .ok_or_else(|| Reject::Settings("no secret".to_owned()))
    };
    let body = delivery.text();
    Ok(match body.as_str() {
        "trap" => std::process::abort(),
        "loop" => loop {
            std::hint::black_box(&body);
        },
        "too many" => Reception {
            events: vec![Event::new("one", "of many"); 1_001],
            answer: None,
        },
        "large" => Event::new("large", "left out")
            .payload("a".repeat(300_000))
            .into(),
        "answer" => Reception::text(format!("{:?} {}", settings.secret, delivery.query)),
        "page" => Reception {
            events: Vec::new(),
            answer: Some(("text/html", b"<script>".to_vec())),
        },
        // What a guest could try to be taken for careful.
        "placeholder" => {
            let secret = secret()?;
            signatures::verify_secret(&secret, secret.placeholder())?;
            Event::new("forged", "by its placeholder").into()
        }
        "leak" => {
            // The secret as the guest sees it, everywhere it could be.
            let text = format!(
                "{:?} {} {:?}",
                delivery.headers,
                delivery.query,
                secret()?.placeholder()
            );
            delivery.verify_query("token", &secret()?)?;
            Event::new("leak", text.clone()).payload(text).into()
        }
        _ => Event::new("careless", "who knows who").into(),
    })
}
