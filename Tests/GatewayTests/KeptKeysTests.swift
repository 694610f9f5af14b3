import Kernel
import Synchronization
import TestSupport
import Testing

@testable import Gateway

@Suite("Kept keys")
struct KeptKeysTests {
    /// A vault whose answers can be held back.
    private final class Vault: KeyVault {
        struct State {
            var keys: [SecretPath: KeptKey] = [:]
            var changes = KeyChanges.none
            var asked = 0
            var fault: Problem?
            var gate: Gate?
        }

        let state = Mutex(State())

        func key(at path: SecretPath, for caller: Principal) async throws -> KeptKey? {
            let (key, fault, gate) = state.withLock { state in
                state.asked += 1
                return (state.keys[path], state.fault, state.gate)
            }
            await gate?.pass()
            if let fault { throw fault }
            return key
        }

        func takeChanges() -> KeyChanges {
            state.withLock { state in
                defer { state.changes = .none }
                return state.changes
            }
        }

        func put(_ path: SecretPath, _ value: String?, version: Int, tells: Bool = true) {
            state.withLock { state in
                state.keys[path] = KeptKey(value: value.map { SecretBytes($0) }, version: version)
                if tells { state.changes = .these([path]) }
            }
        }

        var asked: Int { state.withLock { $0.asked } }
    }

    /// Lets those pass who wait, once it is open.
    private final class Gate: Sendable {
        private let state = Mutex<(isOpen: Bool, waiting: [CheckedContinuation<Void, Never>])>((false, []))

        func pass() async {
            await withCheckedContinuation { continuation in
                let isOpen = state.withLock { state in
                    if !state.isOpen { state.waiting.append(continuation) }
                    return state.isOpen
                }
                if isOpen { continuation.resume() }
            }
        }

        func open() {
            let waiting = state.withLock { state in
                defer { state = (true, []) }
                return state.waiting
            }
            for one in waiting { one.resume() }
        }

        var count: Int { state.withLock { $0.waiting.count } }
    }

    private let path = SecretPath(stored: "platform/openai")
    private let caller = Principal(keyID: "k", name: "writer", role: .agent, agent: "writer")
    private let time = ManualTime()
    private let vault = Vault()

    private var keys: KeptKeys { KeptKeys(vault, world: .test(time: time)) }

    private func words(_ finding: KeptKeys.Finding?) -> String {
        switch finding {
        case .key(let value, let version)?: "\(value.text ?? "?") \(version)"
        case .gone(let version)?: "gone \(version)"
        case .absent?: "absent"
        case .fault(let reason)?: "fault \(reason)"
        case nil: "unknown"
        }
    }

    @Test("a key is read once for its life, and a new version at once")
    func life() async {
        let keys = keys
        #expect(words(keys.known(path)) == "unknown")
        #expect(words(await keys.find(path, for: caller)) == "absent")
        #expect(words(keys.known(path)) == "absent")
        vault.put(path, "sk-1", version: 1)
        #expect(words(keys.known(path)) == "unknown")
        for _ in 0..<3 { #expect(words(await keys.find(path, for: caller)) == "sk-1 1") }
        #expect(vault.asked == 2)
        time.advance(by: Span(microseconds: KeptKeys.life.microseconds - 1_000))
        #expect(words(keys.known(path)) == "sk-1 1")
        time.advance(by: .milliseconds(1))
        #expect(words(keys.known(path)) == "unknown")
        #expect(words(await keys.find(path, for: caller)) == "sk-1 1")
        vault.put(path, "sk-2", version: 2)
        #expect(words(await keys.find(path, for: caller)) == "sk-2 2")
        vault.put(path, nil, version: 2)
        #expect(words(await keys.find(path, for: caller)) == "gone 2")
        vault.state.withLock { $0.changes = .all }
        #expect(words(keys.known(path)) == "unknown")
    }

    @Test("what cannot be opened is asked for again soon, and no key is made up")
    func faults() async {
        let keys = keys
        vault.state.withLock { $0.fault = Problem(.masterKey, "no key") }
        #expect(words(await keys.find(path, for: caller)) == "fault master_key")
        #expect(words(keys.known(path)) == "fault master_key")
        time.advance(by: KeptKeys.faultLife)
        vault.state.withLock { $0.fault = nil }
        vault.put(path, "two words", version: 1, tells: false)
        #expect(words(await keys.find(path, for: caller)).hasPrefix("fault version 1 holds no key"))
        #expect(words(KeptKeys(nil, world: .test()).known(path)) == "fault this Reeve keeps no secrets")
    }

    @Test("who asks at the same time waits for one reading, and nobody for one of an old version")
    func readings() async {
        let keys = keys
        let gate = Gate()
        vault.put(path, "sk-1", version: 1)
        vault.state.withLock { $0.gate = gate }
        async let first = keys.find(path, for: caller)
        async let second = keys.find(path, for: caller)
        while gate.count < 1 { await Task.yield() }
        // A new version comes while the old one is being read.
        vault.put(path, "sk-2", version: 2)
        vault.state.withLock { $0.gate = nil }
        #expect(words(await keys.find(path, for: caller)) == "sk-2 2")
        gate.open()
        #expect(words(await first) == "sk-1 1")
        _ = await second
        // The late answer is not kept.
        #expect(words(keys.known(path)) == "sk-2 2")
        #expect(vault.asked <= 3)
    }

    @Test("keys that nobody asks for are let go, and there are never too many")
    func bounds() async {
        let keys = keys
        for number in 0..<KeptKeys.keysMax + 5 {
            _ = await keys.find(SecretPath(stored: "user/u\(number)/openai"), for: caller)
        }
        #expect(keys.count == KeptKeys.keysMax)
        time.advance(by: KeptKeys.absentLife)
        keys.forgetOld()
        #expect(keys.count == 0)
    }
}
