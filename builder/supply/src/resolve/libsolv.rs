//! libsolv behind safe calls; the only file of the stage with `unsafe`.
//!
//! Invariants that make it sound: one owner of the pool (`!Send`, because of the raw pointer), every id that goes in came from this pool,
//! queues live as long as the call, and texts that come out are copied at once (libsolv reuses its buffers).
#![allow(unsafe_code)]

use crate::repos::PackageMeta;
use crate::resolve::{Expression, expression};
use model::{Error, Result, ResultJudged};
use packages::capability::{Capability, Comparison};
use rattler_libsolv_c as c;
use std::collections::BTreeSet;
use std::ffi::{CStr, CString};

/// Solvable 0 does not exist and 1 is libsolv's own "system": ours begin here, in the order of adding.
const FIRST: c::Id = 2;

pub(super) struct Pool {
    raw: *mut c::Pool,
    count: c::Id,
    /// Ids of package names.
    names: BTreeSet<c::Id>,
    prereq_marker: c::Id,
    /// Names of which several versions may be chosen.
    several: Vec<c::Id>,
    multilib: bool,
}

#[derive(Clone, Copy)]
pub(super) struct Repo(*mut c::Repo);

/// One thing that libsolv holds against the request; packages are positions in the order of adding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    Wanted { dep: String },
    Requires { package: usize, dep: String },
    NothingProvides { package: usize, dep: String },
    Conflicts { package: usize, other: Option<usize>, dep: String },
    Obsoletes { package: usize, other: Option<usize>, dep: String },
    SameName { package: usize, other: usize },
    NotInstallable { package: usize },
    InferiorArch { package: usize },
    Other(String),
}

/// What must be installed.
pub(super) enum Wanted<'a> {
    Expression(&'a Expression),
    /// Any one of these positions.
    OneOf(Vec<usize>),
}

/// The reasons that together leave no answer.
pub(super) type Problem = Vec<Reason>;

struct Queue(c::Queue);

impl Queue {
    fn new() -> Self {
        let mut queue = c::Queue { elements: std::ptr::null_mut(), count: 0, alloc: std::ptr::null_mut(), left: 0 };
        // SAFETY: the struct is ours and stays valid; queue_init only writes to it.
        unsafe { c::queue_init(&mut queue) };
        Queue(queue)
    }

    fn push(&mut self, id: c::Id) {
        // SAFETY: an initialised queue; inserting at its end is in range.
        unsafe { c::queue_insert(&mut self.0, self.0.count, id) };
    }

    fn ids(&self) -> &[c::Id] {
        ids(&self.0)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: initialised in `new`, freed once.
        unsafe { c::queue_free(&mut self.0) };
    }
}

fn ids(queue: &c::Queue) -> &[c::Id] {
    match usize::try_from(queue.count) {
        // SAFETY: libsolv keeps `count` valid elements behind `elements`, and the borrow holds the queue.
        Ok(count) if count > 0 && !queue.elements.is_null() => unsafe { std::slice::from_raw_parts(queue.elements, count) },
        _ => &[],
    }
}

/// Text for libsolv, which ends it at a NUL.
fn c_text(text: &str) -> CString {
    CString::new(text.split('\0').next().unwrap_or("")).expect("no NUL before the first")
}

impl Pool {
    pub(super) fn new(arch: &str) -> Self {
        let arch = c_text(arch);
        // SAFETY: a fresh pool; the texts are NUL-terminated and copied by libsolv.
        unsafe {
            let raw = c::pool_create();
            c::pool_setdisttype(raw, c::DISTTYPE_RPM as libc::c_int);
            c::pool_setarch(raw, arch.as_ptr());
            let prereq_marker = c::pool_str2id(raw, c"solvable:prereqmarker".as_ptr(), 1);
            Pool { raw, count: 0, names: BTreeSet::new(), prereq_marker, several: Vec::new(), multilib: false }
        }
    }

    /// Packages of the 32-bit architectures may stand beside the native ones.
    pub(super) fn allow_multilib(&mut self) {
        self.multilib = true;
        // SAFETY: the pool is alive; both flags are plain switches, read when the solver makes its rules.
        unsafe {
            c::pool_set_flag(self.raw, c::POOL_FLAG_OBSOLETEUSESCOLORS as libc::c_int, 1);
            c::pool_set_flag(self.raw, c::POOL_FLAG_IMPLICITOBSOLETEUSESCOLORS as libc::c_int, 1);
        }
    }

    /// Several versions of this name do not exclude each other.
    pub(super) fn allow_several(&mut self, name: &str) {
        let id = self.text(name);
        self.several.push(id);
    }

    /// `priority` as dnf counts: lower wins.
    pub(super) fn add_repo(&mut self, name: &str, priority: u32) -> Repo {
        let name = c_text(name);
        // SAFETY: the pool is alive; the repo belongs to it and is only used with it.
        unsafe {
            let repo = c::repo_create(self.raw, name.as_ptr());
            (*repo).priority = -libc::c_int::try_from(priority).unwrap_or(libc::c_int::MAX);
            Repo(repo)
        }
    }

    /// Adds one package; `files` are those of its paths that count as provided.
    pub(super) fn add(&mut self, repo: Repo, package: &PackageMeta, files: &[&str]) -> Result<()> {
        let of = |e: Error| e.context(&package.nevra);
        let ids = |pool: &mut Self, deps: &[Capability]| deps.iter().map(|d| pool.dep(d)).collect::<Result<Vec<_>>>().map_err(of);
        let name = self.text(&package.nevra.name);
        let evr = self.text(&package.nevra.evr.to_string());
        let arch = self.text(&package.nevra.arch);
        let own = self.relation(name, evr, c::REL_EQ);
        let mut provides = ids(self, &package.provides)?;
        provides.extend(files.iter().map(|file| self.text(file)));
        provides.push(own);
        provides.sort_unstable();
        provides.dedup();
        let requires = ids(self, &package.requires)?;
        let before = ids(self, &package.requires_pre)?;
        let conflicts = ids(self, &package.conflicts)?;
        let obsoletes = ids(self, &package.obsoletes)?;
        let recommends = ids(self, &package.recommends)?;
        let suggests = ids(self, &package.suggests)?;
        let supplements = ids(self, &package.supplements)?;
        let enhances = ids(self, &package.enhances)?;
        let mut all_requires: Vec<_> = requires.into_iter().filter(|id| !before.contains(id)).collect();
        if !before.is_empty() {
            all_requires.push(self.prereq_marker);
            all_requires.extend(before);
        }
        // SAFETY: repo and pool are alive. The solvable is reached through the pool after the last call that may move it, and the
        // offsets that repo_addid returns are stored where libsolv expects them; each list is finished before the next begins.
        unsafe {
            let id = c::repo_add_solvable(repo.0);
            if id != FIRST + self.count {
                return Err(Error::internal(format!("libsolv numbered a package {id}, expected {}", FIRST + self.count)));
            }
            let list = |ids: &[c::Id]| ids.iter().fold(0, |offset, id| c::repo_addid(repo.0, offset, *id));
            let (provides, requires, conflicts, obsoletes) = (list(&provides), list(&all_requires), list(&conflicts), list(&obsoletes));
            let (recommends, suggests, supplements, enhances) = (list(&recommends), list(&suggests), list(&supplements), list(&enhances));
            let solvable = &mut *(*self.raw).solvables.offset(id as isize);
            (solvable.name, solvable.evr, solvable.arch) = (name, evr, arch);
            (solvable.provides, solvable.requires, solvable.conflicts, solvable.obsoletes) = (provides, requires, conflicts, obsoletes);
            (solvable.recommends, solvable.suggests, solvable.supplements, solvable.enhances) =
                (recommends, suggests, supplements, enhances);
        }
        self.names.insert(name);
        self.count += 1;
        Ok(())
    }

    /// Positions of the chosen packages in installation order, or the problems.
    pub(super) fn solve(&mut self, wanted: &[Wanted<'_>], favoured: &[Capability], weak: bool) -> Result<Vec<usize>, Vec<Problem>> {
        // Lists of packages live in this table, so it comes first; ids of expressions look their providers up when they are needed.
        // SAFETY: the pool is alive and has all its packages.
        unsafe { c::pool_createwhatprovides(self.raw) };
        let mut jobs = Queue::new();
        for wanted in wanted {
            let (kind, id) = match wanted {
                Wanted::Expression(expression) => self.job(expression),
                Wanted::OneOf(positions) => (c::SOLVER_SOLVABLE_ONE_OF, self.list(positions)),
            };
            jobs.push((c::SOLVER_INSTALL | kind) as c::Id);
            jobs.push(id);
        }
        for dep in favoured {
            let id = self.simple(dep);
            jobs.push((c::SOLVER_FAVOR | c::SOLVER_SOLVABLE_PROVIDES) as c::Id);
            jobs.push(id);
        }
        for name in &self.several {
            jobs.push((c::SOLVER_MULTIVERSION | c::SOLVER_SOLVABLE_NAME) as c::Id);
            jobs.push(*name);
        }
        // SAFETY: the pool is alive and complete; the solver and the transaction are freed before the pool, on every path.
        unsafe {
            let solver = c::solver_create(self.raw);
            c::solver_set_flag(solver, c::SOLVER_FLAG_IGNORE_RECOMMENDED as libc::c_int, libc::c_int::from(!weak));
            // Without this, a name's 64-bit package forbids its 32-bit one.
            c::solver_set_flag(solver, c::SOLVER_FLAG_NO_INFARCHCHECK as libc::c_int, libc::c_int::from(self.multilib));
            let problems = c::solver_solve(solver, &mut jobs.0);
            let answer = if problems == 0 {
                let transaction = c::solver_create_transaction(solver);
                c::transaction_order(transaction, 0);
                let steps = ids(&(*transaction).steps).iter().filter_map(|id| position(*id)).collect();
                c::transaction_free(transaction);
                Ok(steps)
            } else {
                Err((1..=problems).map(|problem| self.problem(solver, problem)).collect())
            };
            c::solver_free(solver);
            answer
        }
    }

    fn list(&mut self, positions: &[usize]) -> c::Id {
        let mut queue = Queue::new();
        positions
            .iter()
            .filter_map(|position| c::Id::try_from(*position).none_because("a position beyond an id is no package's"))
            .for_each(|position| queue.push(FIRST + position));
        // SAFETY: the queue is ours, its ids are of solvables of this pool.
        unsafe { c::pool_queuetowhatprovides(self.raw, &mut queue.0) as c::Id }
    }

    fn job(&mut self, expression: &Expression) -> (u32, c::Id) {
        let id = self.expression(expression);
        match expression {
            Expression::Capability(dep) if self.names.contains(&self.text(&dep.name)) => (c::SOLVER_SOLVABLE_NAME, id),
            _ => (c::SOLVER_SOLVABLE_PROVIDES, id),
        }
    }

    /// # Safety
    /// `solver` is of this pool and just found this problem.
    unsafe fn problem(&self, solver: *mut c::Solver, problem: c::Id) -> Problem {
        let mut rules = Queue::new();
        // SAFETY: as the caller promises; the queue is ours.
        unsafe { c::solver_findallproblemrules(solver, problem, &mut rules.0) };
        let mut reasons: Problem = rules.ids().iter().filter_map(|rule| self.reason(solver, *rule)).collect();
        reasons.sort();
        reasons.dedup();
        reasons
    }

    fn reason(&self, solver: *mut c::Solver, rule: c::Id) -> Option<Reason> {
        let (mut from, mut to, mut dep) = (0, 0, 0);
        // SAFETY: the rule is one that this solver named; the three ids are ours.
        let kind = unsafe { c::solver_ruleinfo(solver, rule, &mut from, &mut to, &mut dep) };
        let text = || self.dep_text(dep);
        Some(match kind {
            c::SolverRuleinfo_SOLVER_RULE_JOB
            | c::SolverRuleinfo_SOLVER_RULE_JOB_NOTHING_PROVIDES_DEP
            | c::SolverRuleinfo_SOLVER_RULE_JOB_UNKNOWN_PACKAGE => Reason::Wanted { dep: text() },
            c::SolverRuleinfo_SOLVER_RULE_PKG_REQUIRES => Reason::Requires { package: position(from)?, dep: text() },
            c::SolverRuleinfo_SOLVER_RULE_PKG_NOTHING_PROVIDES_DEP => Reason::NothingProvides { package: position(from)?, dep: text() },
            c::SolverRuleinfo_SOLVER_RULE_PKG_CONFLICTS | c::SolverRuleinfo_SOLVER_RULE_PKG_SELF_CONFLICT => {
                Reason::Conflicts { package: position(from)?, other: position(to), dep: text() }
            }
            c::SolverRuleinfo_SOLVER_RULE_PKG_OBSOLETES | c::SolverRuleinfo_SOLVER_RULE_PKG_IMPLICIT_OBSOLETES => {
                Reason::Obsoletes { package: position(from)?, other: position(to), dep: text() }
            }
            c::SolverRuleinfo_SOLVER_RULE_PKG_SAME_NAME => Reason::SameName { package: position(from)?, other: position(to)? },
            c::SolverRuleinfo_SOLVER_RULE_PKG_NOT_INSTALLABLE => Reason::NotInstallable { package: position(from)? },
            c::SolverRuleinfo_SOLVER_RULE_INFARCH => Reason::InferiorArch { package: position(from)? },
            _ => {
                // SAFETY: the ids came from this very rule.
                let text = unsafe { c::solver_ruleinfo2str(solver, kind, from, to, dep) };
                Reason::Other(copy(text))
            }
        })
    }

    fn dep(&mut self, dep: &Capability) -> Result<c::Id> {
        if dep.is_rich() { Ok(self.expression(&expression(dep)?)) } else { Ok(self.simple(dep)) }
    }

    fn expression(&mut self, expression: &Expression) -> c::Id {
        let (first, second, other, relation) = match expression {
            Expression::Capability(dep) => return self.simple(dep),
            Expression::And(a, b) => (a, b, &None, c::REL_AND),
            Expression::Or(a, b) => (a, b, &None, c::REL_OR),
            Expression::With(a, b) => (a, b, &None, c::REL_WITH),
            Expression::Without(a, b) => (a, b, &None, c::REL_WITHOUT),
            Expression::If(a, b, other) => (a, b, other, c::REL_COND),
            Expression::Unless(a, b, other) => (a, b, other, c::REL_UNLESS),
        };
        let first = self.expression(first);
        let mut second = self.expression(second);
        if let Some(other) = other {
            let other = self.expression(other);
            second = self.relation(second, other, c::REL_ELSE);
        }
        self.relation(first, second, relation)
    }

    fn simple(&mut self, dep: &Capability) -> c::Id {
        let name = self.text(&dep.name);
        let Some(compare) = dep.compare else { return name };
        // Epoch 0 is written nowhere, as in the packages' own versions.
        let evr = if dep.epoch == Some(0) { Capability { epoch: None, ..dep.clone() }.evr() } else { dep.evr() };
        let evr = self.text(&evr);
        let relation = match compare {
            Comparison::Less => c::REL_LT,
            Comparison::LessEqual => c::REL_LT | c::REL_EQ,
            Comparison::Equal => c::REL_EQ,
            Comparison::GreaterEqual => c::REL_GT | c::REL_EQ,
            Comparison::Greater => c::REL_GT,
        };
        self.relation(name, evr, relation)
    }

    fn text(&self, text: &str) -> c::Id {
        // libsolv's texts end at a NUL.
        let text = text.split('\0').next().unwrap_or("");
        // SAFETY: pointer and length are of one slice, which libsolv copies.
        unsafe { c::pool_strn2id(self.raw, text.as_ptr().cast(), text.len() as libc::c_uint, 1) }
    }

    fn relation(&self, name: c::Id, evr: c::Id, relation: u32) -> c::Id {
        // SAFETY: both ids are of this pool.
        unsafe { c::pool_rel2id(self.raw, name, evr, relation as libc::c_int, 1) }
    }

    fn dep_text(&self, id: c::Id) -> String {
        // SAFETY: an id of this pool; the text is copied before the next call.
        copy(unsafe { c::pool_dep2str(self.raw, id) })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        // SAFETY: created in `new`, freed once; repos and solvables go with it.
        unsafe { c::pool_free(self.raw) };
    }
}

fn position(id: c::Id) -> Option<usize> {
    usize::try_from(id.checked_sub(FIRST)?).none_because("an id beyond the address space is no package's")
}

fn copy(text: *const libc::c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: libsolv returns NUL-terminated texts that live until the next call.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
