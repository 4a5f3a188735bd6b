//! An echo server of smp-framing that knows no code of ours, and its faults.

use super::{each_is_found, failing, rows};
use conformance::notation::{CaseUnit, Content};
use conformance::output::{Verdict, faults};
use conformance::wire::exceptions::Exception;
use std::collections::{BTreeMap, BTreeSet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the server does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    None,
    LosesTheLastOctet,
    DropsEmptyArguments,
    ReadsLengthsFromTheLeft,
    AnswersHeartbeats,
    AnswersErrors,
    IgnoresPause,
    SendsBehindStop,
    StaysAfterStop,
    DeliversGaps,
    DeliversRepeats,
    BeginsWithContinuing,
    KeepsWhatANewFrameDrops,
    MixesIds,
    WantsNumberZero,
    CannotWrap,
    WantsWholeUnitsInOneRead,
    ForgetsTheSecondUnitOfARead,
    EchoesInformation,
    StumblesOverReservedCodes,
    SendsFramesFromOne,
    NeedsAnArgument,
}

/// Listens, and echoes on every connection.
pub(super) async fn serve(fault: Fault) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("smp+tcp://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(echo(stream, fault));
        }
    });
    url
}

struct Open {
    next: u32,
    content: Content,
}

struct Echo {
    stream: TcpStream,
    fault: Fault,
    open: BTreeMap<u16, Open>,
    broken: BTreeSet<u16>,
    paused: bool,
    waiting: Vec<Content>,
}

/// One connection, until its end.
pub(super) async fn echo(stream: TcpStream, fault: Fault) {
    let mut echo =
        Echo { stream, fault, open: BTreeMap::new(), broken: BTreeSet::new(), paused: false, waiting: Vec::new() };
    let (mut buffer, mut chunk) = (Vec::new(), vec![0; 65_536]);
    loop {
        match echo.stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return,
            Ok(len) => buffer.extend_from_slice(&chunk[..len]),
        }
        let mut count = 0;
        while let Some((mut unit, len)) = CaseUnit::read(&buffer) {
            if fault == Fault::ReadsLengthsFromTheLeft && unit.arguments.iter().any(|argument| argument.len() == 256) {
                unit.arguments = vec![vec![0]];
            }
            buffer.drain(..len);
            count += 1;
            if fault == Fault::ForgetsTheSecondUnitOfARead && count == 2 {
                continue;
            }
            if fault == Fault::NeedsAnArgument && unit.arguments.is_empty() && unit.ident.is_none() {
                buffer.clear();
                break;
            }
            if unit.code == 7 {
                if fault == Fault::SendsBehindStop {
                    echo.send(0, vec![b"one more".to_vec()]).await;
                }
                if fault == Fault::StaysAfterStop {
                    std::future::pending::<()>().await;
                }
                while echo.stream.read(&mut chunk).await.is_ok_and(|len| len > 0) {}
                return;
            }
            echo.take(unit).await;
        }
        if fault == Fault::WantsWholeUnitsInOneRead {
            buffer.clear();
        }
    }
}

impl Echo {
    async fn take(&mut self, unit: CaseUnit) {
        match unit.code {
            0 => self.message(unit.arguments).await,
            1..=3 => self.frame(unit).await,
            4 if self.fault == Fault::EchoesInformation => self.message(unit.arguments).await,
            5 if self.fault == Fault::AnswersErrors => self.send(5, vec![b"500".to_vec(), b"no".to_vec()]).await,
            6 if self.fault == Fault::AnswersHeartbeats => self.send(4, Vec::new()).await,
            8 => self.paused = true,
            9 => {
                self.paused = false;
                for content in core::mem::take(&mut self.waiting) {
                    self.message(content).await;
                }
            }
            10..=12 if self.fault == Fault::StumblesOverReservedCodes => drop(self.stream.shutdown().await),
            _ => {}
        }
    }

    async fn frame(&mut self, unit: CaseUnit) {
        let fault = self.fault;
        let (mut id, number) = unit.ident.unwrap();
        if fault == Fault::MixesIds {
            id = 0;
        }
        if unit.code == 1 {
            self.broken.remove(&id);
        } else if self.broken.contains(&id) {
            if unit.code == 3 {
                self.broken.remove(&id);
            }
            return;
        }
        let begins = match unit.code {
            1 => fault != Fault::KeepsWhatANewFrameDrops || !self.open.contains_key(&id),
            3 => !self.open.contains_key(&id),
            _ => fault == Fault::BeginsWithContinuing && !self.open.contains_key(&id),
        };
        if begins {
            if fault == Fault::WantsNumberZero && number != 0 {
                return;
            }
            self.open.insert(id, Open { next: number.wrapping_add(1), content: unit.arguments });
        } else if let Some(open) = self.open.get_mut(&id) {
            let is_gap = number.wrapping_sub(open.next) < 1 << 31 && number != open.next;
            let is_repeat = number.wrapping_sub(open.next) >= 1 << 31;
            let wrapped = fault == Fault::CannotWrap && number == 0;
            if (is_gap && fault != Fault::DeliversGaps)
                || (is_repeat && !matches!(fault, Fault::DeliversRepeats | Fault::KeepsWhatANewFrameDrops))
                || wrapped
            {
                self.open.remove(&id);
                self.break_id(id, unit.code);
                return;
            }
            open.next = number.wrapping_add(1);
            for (all, more) in open.content.iter_mut().zip(unit.arguments) {
                all.extend(more);
            }
        } else {
            self.break_id(id, unit.code);
            return;
        }
        if unit.code == 3
            && let Some(open) = self.open.remove(&id)
        {
            self.message(open.content).await;
        }
    }

    /// A broken ID is remembered until its last frame.
    fn break_id(&mut self, id: u16, code: u8) {
        if code != 3 {
            self.broken.insert(id);
        }
    }

    async fn message(&mut self, mut content: Content) {
        if self.paused && self.fault != Fault::IgnoresPause {
            return self.waiting.push(content);
        }
        match self.fault {
            Fault::LosesTheLastOctet => drop(content.last_mut().and_then(Vec::pop)),
            Fault::DropsEmptyArguments => content.retain(|argument| !argument.is_empty()),
            _ => {}
        }
        if content.iter().map(|argument| argument.len() + 2).sum::<usize>() <= 70_000
            && content.iter().all(|one| one.len() <= 65_535)
        {
            return self.send(0, content).await;
        }
        let first = u32::from(self.fault == Fault::SendsFramesFromOne);
        let longest = content.iter().map(Vec::len).max().unwrap_or(0);
        let count = longest.div_ceil(60_000);
        for at in 0..count {
            let part = |argument: &Vec<u8>| argument.iter().skip(at * 60_000).take(60_000).copied().collect();
            let code = if at + 1 == count {
                3
            } else if at == 0 {
                1
            } else {
                2
            };
            let ident = Some((0, first + u32::try_from(at).unwrap()));
            let unit = CaseUnit { code, ident, arguments: content.iter().map(part).collect() };
            let _gone = self.stream.write_all(&unit.octets()).await;
        }
    }

    async fn send(&mut self, code: u8, arguments: Content) {
        let _gone = self.stream.write_all(&CaseUnit { code, ident: None, arguments }.octets()).await;
    }
}

#[tokio::test]
async fn a_right_server_passes_every_case() {
    let url = serve(Fault::None).await;
    assert_eq!(failing("smp-framing", &url, &[]).await, []);
}

#[tokio::test]
async fn every_planted_fault_is_found() {
    let faults = [
        (Fault::LosesTheLastOctet, "smpf-wire-one-argument"),
        (Fault::DropsEmptyArguments, "smpf-wire-empty-argument"),
        (Fault::ReadsLengthsFromTheLeft, "smpf-wire-high-length-octet"),
        (Fault::AnswersHeartbeats, "smpf-wire-heartbeat"),
        (Fault::AnswersErrors, "smpf-wire-error-is-not-answered"),
        (Fault::IgnoresPause, "smpf-wire-paused-until-the-end"),
        (Fault::SendsBehindStop, "smpf-wire-stop"),
        (Fault::StaysAfterStop, "smpf-wire-stop-with-payload"),
        (Fault::DeliversGaps, "smpf-wire-gap"),
        (Fault::DeliversRepeats, "smpf-wire-repeat"),
        (Fault::BeginsWithContinuing, "smpf-wire-frame-of-nothing"),
        (Fault::KeepsWhatANewFrameDrops, "smpf-wire-new-frame-begins-anew"),
        (Fault::MixesIds, "smpf-wire-interleaved"),
        (Fault::WantsNumberZero, "smpf-wire-any-first-number"),
        (Fault::CannotWrap, "smpf-wire-number-wraps"),
        (Fault::WantsWholeUnitsInOneRead, "smpf-wire-octet-by-octet"),
        (Fault::ForgetsTheSecondUnitOfARead, "smpf-wire-many-in-one-piece"),
        (Fault::EchoesInformation, "smpf-wire-information"),
        (Fault::StumblesOverReservedCodes, "smpf-wire-reserved-codes"),
        (Fault::SendsFramesFromOne, "smpf-wire-large-message"),
        (Fault::NeedsAnArgument, "smpf-wire-no-argument"),
    ];
    let faults = faults.map(|(fault, case)| (fault, "smp-framing", case));
    each_is_found(faults, |fault| async move { ((), serve(fault).await) }).await;
}

#[tokio::test]
async fn an_exception_excuses_its_case_and_is_a_fault_where_the_case_passes() {
    let url = serve(Fault::EchoesInformation).await;
    let known =
        |id: &str| Exception { id: id.into(), reason: "known".into(), date: "2026-11-27".into(), carrier: None };
    let only = ["smpf-wire-information", "smpf-wire-heartbeat"];
    let excused = rows("smp-framing", &url, &only, &[known("smpf-wire-information")]).await;
    assert_eq!(faults(&excused), Vec::<String>::new());
    assert!(
        excused.iter().any(|row| matches!(&row.verdict, Verdict::Excepted(why) if why.contains("known (2026-11-27)")))
    );
    let stale = rows("smp-framing", &url, &only, &[known("smpf-wire-heartbeat")]).await;
    let told = faults(&stale);
    assert!(
        told.len() == 2 && told.iter().any(|fault| fault.contains("smpf-wire-heartbeat over tcp: stale exception")),
        "{told:?}"
    );
}
