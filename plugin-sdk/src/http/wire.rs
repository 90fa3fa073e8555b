//! Conversion of a draft to the request of the contract, whose secrets are handles.

use super::draft::{Body, Content, Draft, Part, Signature};
use super::text::Text;
use crate::handles::Handles;
use crate::net::NetError;
use crate::wit::http as wit;

pub(super) fn send(draft: &Draft) -> Result<wit::Response, NetError> {
    let handles = Handles::open(draft.secrets())?;
    wit::send(&handles.request(draft)).map_err(NetError::from)
}

pub(super) fn send_all(drafts: &[Draft]) -> Vec<Result<wit::Response, NetError>> {
    let opened: Vec<Result<Handles, NetError>> = drafts
        .iter()
        .map(|draft| Handles::open(draft.secrets()))
        .collect();
    let requests: Vec<wit::Request<'_>> = opened
        .iter()
        .zip(drafts)
        .filter_map(|(handles, draft)| Some(handles.as_ref().ok()?.request(draft)))
        .collect();
    let mut answers = wit::send_all(&requests).into_iter();
    drop(requests);
    opened
        .into_iter()
        .map(|handles| {
            handles?;
            let answer = answers.next().expect("the host answers each request");
            answer.map_err(NetError::from)
        })
        .collect()
}

impl Handles {
    fn request(&self, draft: &Draft) -> wit::Request<'_> {
        wit::Request {
            method: draft.method.clone(),
            url: self.text(&draft.url),
            headers: self.texts(&draft.headers),
            body: draft.body.as_ref().map(|body| self.body(body)),
            timeout_ms: draft.timeout_ms,
            auth: draft.auth.clone(),
            basic_auth: draft.basic_auth.as_ref().map(|basic| wit::BasicAuth {
                username: self.text(&basic.username),
                password: self.text(&basic.password),
                attributes: basic.attributes.clone(),
            }),
            signature: draft
                .signature
                .as_ref()
                .map(|signature| self.signature(signature)),
            options: draft.options.clone(),
        }
    }

    fn texts(&self, texts: &[(String, Text)]) -> Vec<(String, Vec<wit::Chunk<'_>>)> {
        let pair = |(name, value): &(String, Text)| (name.clone(), self.text(value));
        texts.iter().map(pair).collect()
    }

    fn body(&self, body: &Body) -> wit::Body<'_> {
        match body {
            Body::Bytes(bytes) => wit::Body::Bytes(bytes.clone()),
            Body::Json { json } => wit::Body::Json(self.text(json)),
            Body::Form { form } => wit::Body::Form(self.texts(form)),
            Body::Multipart { multipart } => {
                wit::Body::Multipart(multipart.iter().map(|part| self.part(part)).collect())
            }
        }
    }

    fn part(&self, part: &Part) -> wit::Part<'_> {
        wit::Part {
            name: part.name.clone(),
            file_name: part.file_name.clone(),
            content_type: part.content_type.clone(),
            content: match &part.content {
                Content::Bytes(bytes) => wit::Content::Bytes(bytes.clone()),
                Content::Text(text) => wit::Content::Text(self.text(text)),
            },
            attributes: part.attributes.clone(),
        }
    }

    fn signature(&self, signature: &Signature) -> wit::Signature<'_> {
        match signature {
            Signature::StandardWebhooks { standard_webhooks } => {
                wit::Signature::StandardWebhooks(wit::StandardWebhooks {
                    id: standard_webhooks.id.clone(),
                    secret: self.of(&standard_webhooks.secret),
                    attributes: standard_webhooks.attributes.clone(),
                })
            }
            Signature::Hmac { hmac } => wit::Signature::Hmac(wit::Hmac {
                header: hmac.header.clone(),
                algorithm: hmac.algorithm.clone(),
                encoding: hmac.encoding.clone(),
                prefix: hmac.prefix.clone(),
                secret: self.of(&hmac.secret),
                attributes: hmac.attributes.clone(),
            }),
        }
    }
}
