//! Files, by Landlock: some to read, one folder to write into.

use std::path::Path;

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope, make_bitflags,
};

/// The newest version of Landlock whose rights are named here. What a kernel lacks of it is left
/// out, but for the rights of the first version.
const NEWEST: ABI = ABI::V6;

/// Rights in the folder for large sorts: no links, sockets or devices, and nothing to execute.
const SPILLING: BitFlags<AccessFs> = make_bitflags!(AccessFs::{
    ReadFile | ReadDir | WriteFile | Truncate | MakeReg | RemoveFile | MakeDir | RemoveDir
});

pub(in crate::child::sandbox) fn has_landlock() -> bool {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .and_then(Ruleset::create)
        .is_ok()
}

pub(in crate::child::sandbox) fn confine_files<'a>(
    readable: impl Iterator<Item = &'a Path>,
    writable: &Path,
) -> Result<(), String> {
    let failed = |error: landlock::RulesetError| format!("Landlock can't be used: {error}");
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(ABI::V1))
        .map(|ruleset| ruleset.set_compatibility(CompatLevel::BestEffort))
        .and_then(|ruleset| ruleset.handle_access(AccessFs::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.handle_access(AccessNet::from_all(NEWEST)))
        .and_then(|ruleset| ruleset.scope(Scope::from_all(NEWEST)))
        .and_then(Ruleset::create)
        .map_err(failed)?;
    for path in readable {
        ruleset = allow(ruleset, path, AccessFs::ReadFile.into())?;
    }
    ruleset = allow(ruleset, writable, SPILLING)?;
    let status = ruleset.restrict_self().map_err(failed)?;
    if status.ruleset == RulesetStatus::NotEnforced || !status.no_new_privs {
        return Err("Landlock is not enforced".to_owned());
    }
    Ok(())
}

fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    rights: BitFlags<AccessFs>,
) -> Result<RulesetCreated, String> {
    let opened = PathFd::new(path).map_err(|error| error.to_string())?;
    let allowed = ruleset.add_rule(PathBeneath::new(opened, rights));
    allowed.map_err(|error| format!("`{}` can't be let through: {error}", path.display()))
}
