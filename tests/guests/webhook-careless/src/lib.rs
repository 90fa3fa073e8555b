//! Takes whatever comes without looking at who sent it, and does as it asks.

use extrack_plugin::prelude::*;

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
        "forged" => {
            let secret = secret()?;
            delivery
                .verify_header("x-guess", &secret)
                .or_else(|_| delivery.verify_query("guess", &secret))
                .or_else(|_| delivery.verify_path(&secret))?;
            Event::new("forged", "by a guess").into()
        }
        "leak" => {
            // The secret as the guest sees it, everywhere it could be.
            let text = format!(
                "{:?} {} {} {:?} {}",
                delivery.headers,
                delivery.query,
                delivery.path,
                secret()?,
                secret()?.pointer()
            );
            delivery.verify_query("token", &secret()?)?;
            Event::new("leak", text.clone()).payload(text).into()
        }
        _ => Event::new("careless", "who knows who").into(),
    })
}
