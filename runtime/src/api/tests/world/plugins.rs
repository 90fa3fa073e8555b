//! The plugin host of the tests.

use super::*;

impl Plugins for World {
    fn list(&self) -> Vec<PluginEntry> {
        self.plugins.lock().unwrap().clone()
    }

    fn get(&self, name: &str) -> Option<PluginEntry> {
        self.list().into_iter().find(|plugin| plugin.name == name)
    }

    fn install<'a>(
        &'a self,
        name: &'a str,
        component: Bytes,
        signature: Option<String>,
        actor: &'a str,
    ) -> BoxFuture<'a, Result<PluginEntry, plugin_host::InstallError>> {
        if !component.starts_with(b"\0asm") {
            let reason = "this is not a WebAssembly component".to_owned();
            return now(Err(plugin_host::InstallError {
                step: plugin_host::InstallStep::Compile,
                reason,
            }));
        }
        let by = actor.to_owned();
        let signed_by = signature.map(|signature| format!("key of {signature}"));
        let entry = PluginEntry {
            version: "0.2.0".to_owned(),
            by,
            signed_by,
            ..self.plugin(PluginKind::Probe, name)
        };
        self.plugins.lock().unwrap().push(entry.clone());
        now(Ok(entry))
    }

    fn pull<'a>(
        &'a self,
        reference: &'a str,
        name: Option<&'a str>,
        actor: &'a str,
    ) -> BoxFuture<'a, Result<PluginEntry, plugin_host::InstallError>> {
        if !reference.starts_with("oci://") {
            return now(Err(plugin_host::InstallError {
                step: plugin_host::InstallStep::Pull,
                reason: "this is no reference".to_owned(),
            }));
        }
        self.install(
            name.unwrap_or("pulled"),
            Bytes::from_static(b"\0asm"),
            None,
            actor,
        )
    }

    /// Only `http` has an earlier version.
    fn rollback<'a>(
        &'a self,
        name: &'a str,
        to: Option<&'a str>,
        _actor: &'a str,
    ) -> BoxFuture<'a, Result<Option<PluginEntry>, plugin_host::InstallError>> {
        now(match to {
            None | Some("0.1.0") => {
                Ok((name == "http").then(|| self.plugin(PluginKind::Probe, name)))
            }
            Some(to) => Err(plugin_host::InstallError {
                step: plugin_host::InstallStep::Version,
                reason: format!("plugin `{name}` has no version `{to}`"),
            }),
        })
    }

    /// Only `slack` is not in use.
    fn remove<'a>(
        &'a self,
        name: &'a str,
        _actor: &'a str,
    ) -> BoxFuture<'a, Result<Option<PluginEntry>, plugin_host::InstallError>> {
        now(match name {
            "slack" => Ok(None),
            _ => Err(plugin_host::InstallError {
                step: plugin_host::InstallStep::InUse,
                reason: format!("`{name}` is used by a test"),
            }),
        })
    }

    fn versions<'a>(
        &'a self,
        name: &'a str,
    ) -> BoxFuture<'a, Result<Option<Vec<VersionEntry>>, plugin_host::InstallError>> {
        let version = |version: &str, digest: &str, state, is_bundled: bool, until| VersionEntry {
            version: version.to_owned(),
            digest: digest.repeat(4),
            state,
            is_bundled,
            size: 28_672,
            installed_ms: self.now - 7_200_000,
            installed_by: if is_bundled { BUNDLED } else { "ci" }.to_owned(),
            active_since_ms: Some(self.now - 3_600_000),
            active_until_ms: until,
            activated_by: Some("ci".to_owned()),
            withdrawn: None,
        };
        now(Ok(self.get(name).map(|_| {
            vec![
                version("0.2.0", ACTIVE, VersionState::Active, false, None),
                version(
                    "0.1.0",
                    CANDIDATE,
                    VersionState::Previous,
                    true,
                    Some(self.now - 1_800_000),
                ),
            ]
        })))
    }

    fn component<'a>(
        &'a self,
        _name: &'a str,
        digest: &'a str,
    ) -> BoxFuture<'a, Result<Option<Bytes>, plugin_host::InstallError>> {
        now(Ok(
            (digest == ACTIVE.repeat(4)).then(|| Bytes::from_static(b"\0asm\x0d\0\x01\0"))
        ))
    }

    fn shadow_start<'a>(
        &'a self,
        name: &'a str,
        _component: Bytes,
        _signature: Option<String>,
        _actor: &'a str,
    ) -> BoxFuture<'a, Result<PluginEntry, plugin_host::InstallError>> {
        now(match self.get(name) {
            Some(entry) if entry.kind != PluginKind::Notifier => Ok(entry),
            _ => Err(plugin_host::InstallError {
                step: plugin_host::InstallStep::Shadow,
                reason: "a notifier can't run beside another".to_owned(),
            }),
        })
    }

    fn promote<'a>(
        &'a self,
        name: &'a str,
        _actor: &'a str,
    ) -> BoxFuture<'a, Result<Option<PluginEntry>, plugin_host::InstallError>> {
        now(Ok(self.get(name).filter(|entry| entry.shadow.is_some())))
    }

    fn discard<'a>(
        &'a self,
        name: &'a str,
        _actor: &'a str,
    ) -> BoxFuture<'a, Result<bool, plugin_host::InstallError>> {
        now(Ok(self
            .get(name)
            .is_some_and(|entry| entry.shadow.is_some())))
    }

    fn check<'a>(
        &'a self,
        component: Bytes,
        _signature: Option<String>,
        actor: &'a str,
    ) -> BoxFuture<'a, ComponentCheck> {
        let outcome = match component.starts_with(b"\0asm") {
            true => StepOutcome::Passed,
            false => StepOutcome::Failed(format!("`{actor}` sent no component")),
        };
        now(ComponentCheck {
            steps: vec![CheckedStep {
                step: plugin_host::InstallStep::Format,
                outcome,
            }],
            plugin: None,
            grants: None,
        })
    }

    /// The file owns those of `slack`.
    fn grants(&self, name: &str) -> Option<PluginGrants> {
        let plugin = Plugins::get(self, name)?;
        let policy = self.policies.lock().unwrap().get(name).cloned();
        let origin = match &policy {
            _ if name == "slack" => PolicyOrigin::File,
            Some(_) => PolicyOrigin::Api,
            None => PolicyOrigin::Default,
        };
        let policy = policy.unwrap_or_default();
        Some(PluginGrants {
            name: plugin.name,
            kind: plugin.kind,
            origin,
            wants: plugin.info.wants.clone(),
            imports: vec![Capability::Http],
            hosts: policy.grants.hosts.clone(),
            credentials: None,
            methods: policy.grants.methods.clone(),
            capabilities: vec![Capability::Http],
            budget: Budget::of(&policy.budget),
            missing: Vec::new(),
            policy,
        })
    }

    fn set_policy(&self, name: &str, policy: Option<PluginPolicy>) {
        let mut policies = self.policies.lock().unwrap();
        match policy {
            Some(policy) => policies.insert(name.to_owned(), policy),
            None => policies.remove(name),
        };
    }
}
