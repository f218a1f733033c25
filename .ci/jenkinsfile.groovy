// Holds a Jenkinsfile to the grammar of declarative pipelines, and to what this repository wants of it:
//
//     groovy jenkinsfile.groovy [--steps | --self-test] FILE       from the root of the repository
//
// The file is parsed by Groovy's own compiler. Only what is known here is let through, so a slip of the pen is an error even where
// Jenkins would find it only when it runs. --steps prints stages with their scripts; --self-test breaks the file in many ways, each of
// which must be refused for its own reason.
import org.codehaus.groovy.ast.expr.*
import org.codehaus.groovy.ast.stmt.*
import org.codehaus.groovy.control.*

class Lint {
    static final SECTIONS = ['agent', 'environment', 'options', 'parameters', 'post', 'stages', 'tools', 'triggers']
    static final STAGE = ['agent', 'environment', 'options', 'post', 'stages', 'steps', 'parallel', 'failFast', 'tools', 'when']
    static final WORK = ['steps', 'stages', 'parallel']
    static final CONDITIONS = ['always', 'changed', 'fixed', 'regression', 'aborted', 'failure', 'success', 'unstable', 'unsuccessful', 'cleanup']
    static final OPTIONS = ['buildDiscarder', 'disableConcurrentBuilds', 'disableResume', 'preserveStashes', 'quietPeriod', 'retry', 'skipDefaultCheckout',
        'skipStagesAfterUnstable', 'timeout', 'timestamps']
    static final UNITS = ['NANOSECONDS', 'MICROSECONDS', 'MILLISECONDS', 'SECONDS', 'MINUTES', 'HOURS', 'DAYS']
    static final ROTATIONS = ['daysToKeepStr', 'numToKeepStr', 'artifactDaysToKeepStr', 'artifactNumToKeepStr']
    // Of a build that may hang, fill the disk, meet itself, or not say when.
    static final WANTED = ['buildDiscarder', 'disableConcurrentBuilds', 'timeout', 'timestamps']
    // Steps that publish, each with what it cannot do without. All else is the work of scripts.
    static final PUBLISHERS = [junit: 'testResults', archiveArtifacts: 'artifacts', publishHTML: 'target']

    final List<String> problems = []
    final List<List<String>> steps = []
    final Set<String> names = []

    void refuse(node, String problem) {
        problems << (node == null ? problem : "line ${node.lineNumber}: $problem".toString())
    }

    void file(String text) {
        def unit = new CompilationUnit()
        unit.addSource('Jenkinsfile', text)
        try {
            unit.compile(Phases.CONVERSION)
        } catch (MultipleCompilationErrorsException error) {
            refuse(null, error.message.trim())
            return
        }
        def module = unit.AST.modules[0]
        if (module.methods || module.classes.any { !it.script } || module.imports || module.starImports) {
            refuse(null, 'there are methods, classes or imports: the work is for scripts')
        }
        def statements = module.statementBlock.statements
        def body = statements.size() == 1 ? block(invoked(statements[0], ['pipeline'])) : null
        if (body == null) {
            refuse(statements ? statements[0] : null, 'the file must be one `pipeline { … }` and nothing else')
            return
        }
        pipeline(body)
    }

    /** The method call that a statement is, if its name is one of `allowed`. */
    MethodCallExpression invoked(statement, allowed) {
        def expression = statement instanceof ExpressionStatement ? statement.expression : null
        def known = expression instanceof MethodCallExpression && expression.implicitThis && expression.method instanceof ConstantExpression
        if (!known) {
            refuse(statement, "only ${allowed.join(', ')} may stand here")
            return null
        }
        if (!(expression.methodAsString in allowed)) {
            refuse(statement, "`${expression.methodAsString}` may not stand here; ${allowed.join(', ')} may")
            return null
        }
        expression
    }

    List arguments(MethodCallExpression call) {
        call.arguments instanceof TupleExpression ? call.arguments.expressions : [call.arguments]
    }

    /** The statements of the closure that is the last of `count` arguments. */
    List block(MethodCallExpression call, int count = 1) {
        if (call == null) return null
        def given = arguments(call)
        if (given.size() != count || !(given[-1] instanceof ClosureExpression)) {
            refuse(call, "`${call.methodAsString}` is not ${count == 1 ? '' : "('name') "}{ … }")
            return null
        }
        given[-1].code.statements
    }

    String literal(expression) {
        expression instanceof ConstantExpression && expression.value instanceof String ? expression.value : null
    }

    /** Named arguments, `key: value`. */
    Map<String, Expression> named(MethodCallExpression call) {
        def given = arguments(call)
        if (given.size() != 1 || !(given[0] instanceof MapExpression)) return [:]
        given[0].mapEntryExpressions.collectEntries { [(literal(it.keyExpression)): it.valueExpression] }
    }

    /** Sections by name; none twice, and all of `required`. */
    Map<String, MethodCallExpression> sections(where, List body, allowed, required) {
        def found = [:]
        body.each { statement ->
            def call = invoked(statement, allowed)
            if (call == null) return
            if (found.containsKey(call.methodAsString)) refuse(call, "`${call.methodAsString}` is there twice")
            found[call.methodAsString] = call
        }
        required.each { if (!found.containsKey(it)) refuse(where, "there is no `$it`") }
        found
    }

    void pipeline(List body) {
        def found = sections(body ? body[0] : null, body, SECTIONS, ['agent', 'options', 'post', 'stages'])
        if (found.agent) agent(found.agent)
        if (found.options) options(found.options)
        if (found.stages) stages(found.stages)
        if (found.post) post(found.post)
        if (found.post && !steps.any { it == ['post', '.ci/stack down'] }) refuse(found.post, '`always` or `cleanup` must take the stack down: .ci/stack down')
    }

    void agent(MethodCallExpression call) {
        def given = arguments(call)
        def inner = given.size() == 1 && given[0] instanceof ClosureExpression ? given[0].code.statements : []
        def label = inner.size() == 1 ? invoked(inner[0], ['label']) : null
        if (label == null || !literal(arguments(label)[0])) refuse(call, "an agent is named by its label: agent { label '…' }")
    }

    void options(MethodCallExpression call) {
        def found = sections(call, block(call) ?: [], OPTIONS, WANTED)
        if (found.timeout) {
            def given = named(found.timeout)
            def time = given.time instanceof ConstantExpression ? given.time.value : null
            if (!(time instanceof Integer && time > 0)) refuse(found.timeout, '`timeout` has no `time`')
            if (!(literal(given.unit) in UNITS)) refuse(found.timeout, "`timeout` has no `unit` of ${UNITS.join(', ')}")
        }
        if (found.buildDiscarder) {
            def rotator = arguments(found.buildDiscarder)[0]
            def given = rotator instanceof MethodCallExpression && rotator.methodAsString == 'logRotator' ? named(rotator) : [:]
            if (!given || given.any { !(it.key in ROTATIONS) || !literal(it.value)?.integer }) {
                refuse(found.buildDiscarder, "`buildDiscarder` is logRotator(numToKeepStr: '…')")
            }
        }
    }

    void stages(MethodCallExpression call) {
        def body = block(call)
        if (body != null && !body) refuse(call, "`${call.methodAsString}` has no stage")
        body.each { statement ->
            def stage = invoked(statement, ['stage'])
            def inside = block(stage, 2)
            if (inside == null) return
            def name = literal(arguments(stage)[0])
            if (!name) refuse(stage, 'a stage has no name')
            if (!names.add(name)) refuse(stage, "two stages are named $name")
            def found = sections(stage, inside, STAGE, [])
            if (found.keySet().count { it in WORK } != 1) refuse(stage, "a stage has one of ${WORK.join(', ')}")
            if (found.agent) agent(found.agent)
            if (found.steps) work(name, found.steps)
            if (found.stages) stages(found.stages)
            if (found.parallel) stages(found.parallel)
            if (found.post) post(found.post)
        }
    }

    void work(String name, MethodCallExpression call) {
        def body = block(call)
        if (body != null && !body) refuse(call, 'there are no steps')
        body.each { statement ->
            def step = invoked(statement, ['sh'])
            if (step) script(name, step)
        }
    }

    void post(MethodCallExpression call) {
        sections(call, block(call) ?: [], CONDITIONS, []).each { condition, inner ->
            block(inner).each { statement ->
                def step = invoked(statement, ['sh'] + PUBLISHERS.keySet())
                if (step?.methodAsString == 'sh') {
                    script(condition in ['always', 'cleanup'] ? 'post' : condition, step)
                } else if (step && !named(step).containsKey(PUBLISHERS[step.methodAsString])) {
                    refuse(step, "`${step.methodAsString}` has no `${PUBLISHERS[step.methodAsString]}`")
                }
            }
        }
    }

    void script(String name, MethodCallExpression step) {
        def given = arguments(step)
        def command = given.size() == 1 ? literal(given[0]) : null
        if (!(command ==~ /\.ci\/[a-z.]+( [a-z]+)?/)) {
            refuse(step, "a step runs one script of .ci by name: sh '.ci/…'")
            return
        }
        def file = new File(command.split(' ')[0])
        if (!file.file) refuse(step, "there is no $file")
        else if (!file.canExecute()) refuse(step, "$file cannot be executed")
        steps << [name, command]
    }
}

/** What breaks a file, and what must be said of it. */
def mutations = [
    ['a brace is lost', { it.replaceFirst(/\}\s*\z/, '') }, 'expecting'],
    ['a quote is lost', { it.replaceFirst(/(sh '[^']*)'/, '$1') }, 'line'],
    ['code beside the pipeline', { "def version = 1\n$it" }, 'nothing else'],
    ['a method', { "$it\ndef helper() { 1 }\n" }, 'methods'],
    ['a scripted pipeline', { it.replaceFirst(/(?m)^pipeline \{/, 'node {') }, '`node` may not stand here'],
    ['no agent', { it.replaceFirst(/(?m)^ *agent .*$/, '') }, 'no `agent`'],
    ['any agent', { it.replaceFirst(/(?m)^ *agent .*$/, 'agent any') }, 'named by its label'],
    ['two agents', { it.replaceFirst(/(?m)^ *agent .*$/, '$0\n$0') }, '`agent` is there twice'],
    ['no stages', { it.replaceFirst(/(?m)^    stages \{(?s:.*?)^    \}/, '') }, 'no `stages`'],
    ['empty stages', { it.replaceFirst(/(?m)^    stages \{(?s:.*?)^    \}/, 'stages { }') }, 'has no stage'],
    ['a section that is none', { it.replaceFirst(/(?m)^    post \{/, 'pots {') }, '`pots` may not stand here'],
    ['no post', { it.replaceFirst(/(?m)^    post \{(?s:.*?)^    \}/, '') }, 'no `post`'],
    ['a condition that is none', { it.replaceFirst(/always \{/, 'allways {') }, '`allways` may not stand here'],
    ['a stage without a name', { it.replaceFirst(/stage\('[^']*'\)/, 'stage') }, "`stage` is not ('name')"],
    ['two stages of one name', { it.replaceFirst(/stage\('[^']*'\)/, "stage('Tests')") }, 'two stages are named Tests'],
    ['a stage that does nothing', { it.replaceFirst(/steps \{[^}]*\}/, '') }, 'a stage has one of'],
    ['no steps', { it.replaceFirst(/steps \{[^}]*\}/, 'steps { }') }, 'there are no steps'],
    ['work in Groovy', { it.replaceFirst(/steps \{[^}]*\}/, 'steps { script { println 1 } }') }, '`script` may not stand here'],
    ['waiting by the clock', { it.replaceFirst(/steps \{/, 'steps { sleep 30;') }, '`sleep` may not stand here'],
    ['a condition in Groovy', { it.replaceFirst(/steps \{[^}]*\}/, 'steps { if (true) { sh \'.ci/build\' } }') }, 'only sh may stand here'],
    ['a command that is no script', { it.replaceFirst(/sh '[^']*'/, "sh 'cargo test'") }, 'runs one script'],
    ['two commands', { it.replaceFirst(/sh '[^']*'/, "sh '.ci/build && .ci/tests'") }, 'runs one script'],
    ['a command put together', { it.replaceFirst(/sh '[^']*'/, 'sh ".ci/\\${STAGE}"') }, 'runs one script'],
    ['a script that is not there', { it.replaceFirst(/sh '[^']*'/, "sh '.ci/nothing'") }, 'there is no .ci/nothing'],
    ['a script that cannot be run', { it.replaceFirst(/sh '[^']*'/, "sh '.ci/common.sh'") }, 'cannot be executed'],
    ['an option that is none', { it.replaceFirst(/timestamps\(\)/, 'timestamp()') }, '`timestamp` may not stand here'],
    ['no timeout', { it.replaceFirst(/(?m)^ *timeout.*$/, '') }, 'no `timeout`'],
    ['a timeout of no unit', { it.replaceFirst(/'MINUTES'/, "'MINUTE'") }, '`timeout` has no `unit`'],
    ['a timeout of no time', { it.replaceFirst(/time: \d+/, "time: '120'") }, '`timeout` has no `time`'],
    ['builds kept for ever', { it.replaceFirst(/(?m)^ *buildDiscarder.*$/, '') }, 'no `buildDiscarder`'],
    ['a rotator of what is not there', { it.replaceFirst(/numToKeepStr/, 'numToKeep') }, '`buildDiscarder` is'],
    ['results from nowhere', { it.replaceFirst(/testResults/, 'results') }, '`junit` has no `testResults`'],
    ['a stack that stays up', { it.replaceFirst(/sh '\.ci\/stack down'/, "sh '.ci/reports'") }, 'must take the stack down'],
]

def option = args.length == 2 ? args[0] : null
if (!(args.length in [1, 2]) || !(option in [null, '--steps', '--self-test'])) {
    System.err.println 'usage: jenkinsfile.groovy [--steps | --self-test] FILE'
    System.exit 2
}
def text = new File(args[-1]).getText('UTF-8')
def lint = new Lint()
lint.file(text)
lint.problems.each { System.err.println "${args[-1]}: $it" }
if (lint.problems) System.exit 1

if (option == '--steps') lint.steps.each { println it.join('\t') }
if (option == '--self-test') {
    def failed = false
    mutations.each { what, change, expected ->
        def broken = change(text)
        def judge = new Lint()
        judge.file(broken as String)
        def fault = broken == text ? 'changes nothing; the self-test is out of date'
            : !judge.problems ? 'was let through'
            : judge.problems.any { it.contains(expected) } ? null
            : "was refused, but not for `$expected`: ${judge.problems}"
        if (fault) {
            System.err.println "jenkinsfile.groovy: $what: $fault"
            failed = true
        }
    }
    if (failed) System.exit 1
}
