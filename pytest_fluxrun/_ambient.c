/* Interposes clock and entropy at the C method, so that every copy of `time.time` that a program holds is covered.

   Each interposed function asks the running lane (`context.Lane.ambient`) what to do: None calls the original; a list is
   recording and takes (function, code, lasti, value); a callable is replaying and is asked as ambient(function, *args),
   where NotImplemented means the original. Nothing here decides which reads count: `recording.reads` and
   `replaying.timeline` do. Recording never raises into the host: a read that can't be appended is lost. */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define MOST_READS_PER_LANE 250000
#define MOST_FRAMES_WALKED 24
#define MOST_FILENAMES 10000

typedef PyObject *(*FastFunction)(PyObject *, PyObject *const *, Py_ssize_t);
typedef PyObject *(*KeywordFunction)(PyObject *, PyObject *const *, Py_ssize_t, PyObject *);

typedef struct {
    const char *module;
    const char *owner;    /* a class in the module, or NULL */
    const char *name;
    const char *function; /* as recorded */
    int flags;            /* calling convention that the hook is written for */
    PyCFunction hook;
    PyMethodDef *definition;
    PyCFunction original; /* what the hook calls; NULL before the first install */
    PyObject *label;      /* `function` as an interned str */
} Slot;

enum {
    TIME, TIME_NS, MONOTONIC, MONOTONIC_NS, PERF_COUNTER, PERF_COUNTER_NS,
    LOCALTIME, GMTIME, CTIME, ASCTIME, STRFTIME,
    NOW, UTCNOW, TODAY,
    URANDOM, RANDOM, GETRANDBITS, SEED, UUID_TIME,
    DIGEST, OPENSSL_DIGEST,
    SLOTS
};

static Slot slots[SLOTS];

static PyInterpreterState *home;     /* the interpreter that installed; in others every hook is transparent */
static PyObject *lane_variable;      /* ContextVar of Lane or None */
static PyObject *classify;           /* filename -> whether entropy is attributed to that code's caller */
static PyObject *library_filenames;  /* dict: answers of classify */
static PyObject *shared_random;      /* the instance behind the functions of the module random */
static PyObject *seeded;             /* dict: address -> (weakref of the Random, weakref of the session that seeded it) */
static PyObject *str_ambient, *str_session, *str_from_bytes, *str_little;

static _Thread_local int busy; /* inside an original or an ambient callable: reads below it are part of it */

/* -- the running lane -------------------------------------------------------------------------------------------- */

/* A new reference to the running lane; NULL, without an error, where reads are real. */
static PyObject *
running_lane(void)
{
    PyObject *lane = NULL;
    if (lane_variable == NULL || PyInterpreterState_Get() != home) {
        return NULL;
    }
    if (PyContextVar_Get(lane_variable, Py_None, &lane) < 0) {
        PyErr_Clear();
        return NULL;
    }
    if (lane == Py_None || busy) {
        Py_DECREF(lane);
        return NULL;
    }
    return lane;
}

/* A new reference to the list or callable of the running lane; NULL, without an error, where reads are real. */
static PyObject *
running_ambient(void)
{
    PyObject *lane = running_lane();
    if (lane == NULL) {
        return NULL;
    }
    PyObject *ambient = PyObject_GetAttr(lane, str_ambient);
    Py_DECREF(lane);
    if (ambient == NULL) {
        PyErr_Clear();
        return NULL;
    }
    if (ambient == Py_None) {
        Py_DECREF(ambient);
        return NULL;
    }
    return ambient;
}

/* -- recording --------------------------------------------------------------------------------------------------- */

/* Whether reads made by code of this file are attributed to its caller. */
static bool
is_library(PyObject *filename)
{
    PyObject *known = PyDict_GetItemWithError(library_filenames, filename);
    if (known == NULL && !PyErr_Occurred()) {
        busy++;
        PyObject *answer = PyObject_CallOneArg(classify, filename);
        busy--;
        if (answer != NULL) {
            known = PyObject_IsTrue(answer) == 1 ? Py_True : Py_False;
            Py_DECREF(answer);
            if (PyDict_GET_SIZE(library_filenames) >= MOST_FILENAMES) {
                PyDict_Clear(library_filenames);
            }
            PyDict_SetItem(library_filenames, filename, known);
        }
    }
    PyErr_Clear();
    return known == Py_True;
}

/* A new reference to the frame that a read is attributed to, or NULL. */
static PyFrameObject *
reading_frame(bool past_libraries)
{
    PyFrameObject *nearest = PyEval_GetFrame();
    Py_XINCREF(nearest);
    if (!past_libraries || nearest == NULL) {
        return nearest;
    }
    PyFrameObject *frame = (PyFrameObject *)Py_NewRef(nearest);
    for (int depth = 0; frame != NULL && depth < MOST_FRAMES_WALKED; depth++) {
        PyCodeObject *code = PyFrame_GetCode(frame);
        bool library = is_library(code->co_filename);
        Py_DECREF(code);
        if (!library) {
            Py_DECREF(nearest);
            return frame;
        }
        Py_SETREF(frame, PyFrame_GetBack(frame));
    }
    Py_XDECREF(frame);
    return nearest;
}

/* Append one read to a lane's list. Never leaves an error set. */
static void
append_read(PyObject *list, Slot *slot, PyObject *value, bool past_libraries)
{
    if (PyList_GET_SIZE(list) >= MOST_READS_PER_LANE) {
        return;
    }
    PyFrameObject *frame = reading_frame(past_libraries);
    if (frame == NULL) {
        PyErr_Clear();
        return;
    }
    PyObject *code = (PyObject *)PyFrame_GetCode(frame);
    PyObject *lasti = PyLong_FromLong(PyFrame_GetLasti(frame));
    Py_DECREF(frame);
    PyObject *read = lasti == NULL ? NULL : PyTuple_Pack(4, slot->label, code, lasti, value);
    if (read == NULL || PyList_Append(list, read) < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(read);
    Py_XDECREF(lasti);
    Py_DECREF(code);
}

/* -- calling ----------------------------------------------------------------------------------------------------- */

/* Call what a slot had before the hook. */
#define CALL_ORIGINAL(result, slot, Type, ...) \
    result = ((Type)(void (*)(void))(slot)->original)(__VA_ARGS__)

/* The same while recording or replaying: reads made beneath are part of this one. */
#define CALL_WITHIN(result, slot, Type, ...)            \
    do {                                                \
        busy++;                                         \
        CALL_ORIGINAL(result, slot, Type, __VA_ARGS__); \
        busy--;                                         \
    } while (0)

/* Ask a replaying lane. A new reference, Py_NotImplemented included, or NULL with an error. */
static PyObject *
ask(PyObject *ambient, Slot *slot, PyObject *first, PyObject *second)
{
    busy++;
    PyObject *answer = PyObject_CallFunctionObjArgs(ambient, slot->label, first, second, NULL);
    busy--;
    return answer;
}

/* A read whose original takes (self, argument); `first` and `second` are what a replaying lane is told, or NULL. */
static PyObject *
read_plain(Slot *slot, PyObject *self, PyObject *argument, PyObject *first, PyObject *second, bool past_libraries)
{
    PyObject *ambient = running_ambient();
    PyObject *result;
    if (ambient == NULL) {
        CALL_ORIGINAL(result, slot, PyCFunction, self, argument);
        return result;
    }
    if (PyList_CheckExact(ambient)) {
        CALL_WITHIN(result, slot, PyCFunction, self, argument);
        if (result != NULL) {
            append_read(ambient, slot, result, past_libraries);
        }
    }
    else {
        result = ask(ambient, slot, first, second);
        if (result == Py_NotImplemented) {
            Py_DECREF(result);
            CALL_WITHIN(result, slot, PyCFunction, self, argument);
        }
    }
    Py_DECREF(ambient);
    return result;
}

/* -- clocks ------------------------------------------------------------------------------------------------------ */

#define CLOCK_HOOK(NAME, SLOT)                                                  \
    static PyObject *NAME(PyObject *self, PyObject *unused)                     \
    {                                                                           \
        return read_plain(&slots[SLOT], self, unused, NULL, NULL, false);       \
    }

CLOCK_HOOK(hook_time, TIME)
CLOCK_HOOK(hook_time_ns, TIME_NS)
CLOCK_HOOK(hook_monotonic, MONOTONIC)
CLOCK_HOOK(hook_monotonic_ns, MONOTONIC_NS)
CLOCK_HOOK(hook_perf_counter, PERF_COUNTER)
CLOCK_HOOK(hook_perf_counter_ns, PERF_COUNTER_NS)

static PyObject *
hook_utcnow(PyObject *cls, PyObject *unused)
{
    return read_plain(&slots[UTCNOW], cls, unused, cls, NULL, false);
}

static PyObject *
hook_today(PyObject *cls, PyObject *unused)
{
    return read_plain(&slots[TODAY], cls, unused, cls, NULL, false);
}

static PyObject *
hook_now(PyObject *cls, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Slot *slot = &slots[NOW];
    PyObject *ambient = running_ambient();
    PyObject *result;
    if (ambient == NULL) {
        CALL_ORIGINAL(result, slot, KeywordFunction, cls, args, nargs, kwnames);
        return result;
    }
    Py_ssize_t given = nargs + (kwnames == NULL ? 0 : PyTuple_GET_SIZE(kwnames));
    if (PyList_CheckExact(ambient)) {
        CALL_WITHIN(result, slot, KeywordFunction, cls, args, nargs, kwnames);
        if (result != NULL) {
            append_read(ambient, slot, result, false);
        }
    }
    else {
        /* With wrong arguments the original raises the right TypeError. */
        result = given > 1 ? Py_NewRef(Py_NotImplemented) : ask(ambient, slot, cls, given == 1 ? args[0] : Py_None);
        if (result == Py_NotImplemented) {
            Py_DECREF(result);
            CALL_WITHIN(result, slot, KeywordFunction, cls, args, nargs, kwnames);
        }
    }
    Py_DECREF(ambient);
    return result;
}

/* Whether the last of at most `count` positional arguments, a time, is left out or None: the clock is read. */
static bool
reads_clock(PyObject *args, Py_ssize_t count)
{
    Py_ssize_t given = PyTuple_GET_SIZE(args);
    return given == count - 1 || (given == count && PyTuple_GET_ITEM(args, given - 1) == Py_None);
}

static PyObject *
read_calendar(Slot *slot, PyObject *self, PyObject *args)
{
    PyObject *result;
    if (!reads_clock(args, 1)) {
        CALL_ORIGINAL(result, slot, PyCFunction, self, args);
        return result;
    }
    return read_plain(slot, self, args, NULL, NULL, false);
}

static PyObject *
hook_localtime(PyObject *self, PyObject *args)
{
    return read_calendar(&slots[LOCALTIME], self, args);
}

static PyObject *
hook_gmtime(PyObject *self, PyObject *args)
{
    return read_calendar(&slots[GMTIME], self, args);
}

/* A text made from the present time: the time is read through localtime, the text from it by the original. */
static PyObject *
read_text(Slot *slot, Slot *from_struct, PyObject *self, PyObject *args, bool present, PyObject *format)
{
    PyObject *result;
    PyObject *ambient = present ? running_ambient() : NULL;
    if (ambient == NULL || slots[LOCALTIME].definition == NULL) {
        Py_XDECREF(ambient);
        CALL_ORIGINAL(result, slot, PyCFunction, self, args);
        return result;
    }
    Py_DECREF(ambient);
    PyObject *nothing = PyTuple_New(0);
    PyObject *moment = nothing == NULL ? NULL : hook_localtime(self, nothing);
    Py_XDECREF(nothing);
    if (moment == NULL) {
        return NULL;
    }
    PyObject *given = format == NULL ? PyTuple_Pack(1, moment) : PyTuple_Pack(2, format, moment);
    Py_DECREF(moment);
    if (given == NULL) {
        return NULL;
    }
    CALL_WITHIN(result, from_struct, PyCFunction, self, given);
    Py_DECREF(given);
    return result;
}

static PyObject *
hook_ctime(PyObject *self, PyObject *args)
{
    bool present = reads_clock(args, 1) && slots[ASCTIME].definition != NULL;
    return read_text(&slots[CTIME], &slots[ASCTIME], self, args, present, NULL);
}

static PyObject *
hook_asctime(PyObject *self, PyObject *args)
{
    return read_text(&slots[ASCTIME], &slots[ASCTIME], self, args, PyTuple_GET_SIZE(args) == 0, NULL);
}

static PyObject *
hook_strftime(PyObject *self, PyObject *args)
{
    bool present = PyTuple_GET_SIZE(args) == 1;
    PyObject *format = present ? PyTuple_GET_ITEM(args, 0) : NULL;
    return read_text(&slots[STRFTIME], &slots[STRFTIME], self, args, present, format);
}

/* -- entropy ----------------------------------------------------------------------------------------------------- */

static PyObject *
hook_urandom(PyObject *self, PyObject *size)
{
    return read_plain(&slots[URANDOM], self, size, size, NULL, true);
}

static PyObject *
hook_uuid_time(PyObject *self, PyObject *unused)
{
    return read_plain(&slots[UUID_TIME], self, unused, NULL, NULL, true);
}

static PyObject *
weakly_referenced(PyObject *reference)
{
#if PY_VERSION_HEX >= 0x030d0000
    PyObject *target = NULL;
    if (PyWeakref_GetRef(reference, &target) < 0) {
        PyErr_Clear();
    }
    return target;
#else
    PyObject *target = PyWeakref_GetObject(reference);
    return target == NULL || target == Py_None ? NULL : Py_NewRef(target);
#endif
}

static PyObject *
forget_seeded(PyObject *address, PyObject *Py_UNUSED(reference))
{
    if (seeded != NULL && PyDict_DelItem(seeded, address) < 0) {
        PyErr_Clear();
    }
    Py_RETURN_NONE;
}

static PyMethodDef forget_definition = {"forget_seeded", forget_seeded, METH_O, NULL};

/* The running session, a new reference, or NULL without an error. */
static PyObject *
running_session(void)
{
    PyObject *lane = running_lane();
    if (lane == NULL) {
        return NULL;
    }
    PyObject *session = PyObject_GetAttr(lane, str_session);
    Py_DECREF(lane);
    if (session == NULL) {
        PyErr_Clear();
    }
    return session;
}

/* Note that the running session seeded an instance: what it draws from now on follows from its seed. Where that can't be
   noted, its draws are recorded by value, which is always right. So are those of the shared instance, from which everybody
   draws, and of instances seeded by the system (not `given`): a program may keep one for all its runs, made in the first. */
static void
note_seeded(PyObject *instance, bool given)
{
    if (instance == shared_random) {
        return;
    }
    PyObject *session = given ? running_session() : NULL;
    PyObject *address = PyLong_FromVoidPtr(instance);
    PyObject *forget = address == NULL ? NULL : PyCFunction_New(&forget_definition, address);
    PyObject *to_instance = forget == NULL ? NULL : PyWeakref_NewRef(instance, forget);
    PyObject *to_session = to_instance == NULL || session == NULL ? NULL : PyWeakref_NewRef(session, NULL);
    PyObject *entry = to_session == NULL ? NULL : PyTuple_Pack(2, to_instance, to_session);
    if (entry != NULL) {
        PyDict_SetItem(seeded, address, entry);
    }
    else if (address != NULL && PyDict_Contains(seeded, address) == 1) {
        PyDict_DelItem(seeded, address);
    }
    PyErr_Clear();
    Py_XDECREF(entry);
    Py_XDECREF(to_session);
    Py_XDECREF(to_instance);
    Py_XDECREF(forget);
    Py_XDECREF(address);
    Py_XDECREF(session);
}

/* Whether the running session seeded this very instance. */
static bool
follows_from_seed(PyObject *instance)
{
    if (instance == shared_random || PyDict_GET_SIZE(seeded) == 0) {
        return false;
    }
    PyObject *session = running_session();
    PyObject *address = PyLong_FromVoidPtr(instance);
    PyObject *entry = address == NULL ? NULL : PyDict_GetItemWithError(seeded, address);
    bool follows = false;
    if (entry != NULL && session != NULL) {
        PyObject *owner = weakly_referenced(PyTuple_GET_ITEM(entry, 1));
        follows = owner == session;
        Py_XDECREF(owner);
    }
    PyErr_Clear();
    Py_XDECREF(address);
    Py_XDECREF(session);
    return follows;
}

static PyObject *
follows_from_seed_of_run(PyObject *Py_UNUSED(module), PyObject *instance)
{
    return PyBool_FromLong(seeded != NULL && follows_from_seed(instance));
}

static PyObject *
read_draw(Slot *slot, PyObject *self, PyObject *argument, PyObject *told)
{
    PyObject *ambient = running_ambient();
    if (ambient != NULL) {
        Py_DECREF(ambient);
        if (!follows_from_seed(self)) {
            return read_plain(slot, self, argument, told, NULL, true);
        }
    }
    PyObject *result;
    CALL_ORIGINAL(result, slot, PyCFunction, self, argument);
    return result;
}

static PyObject *
hook_random(PyObject *self, PyObject *unused)
{
    return read_draw(&slots[RANDOM], self, unused, NULL);
}

static PyObject *
hook_getrandbits(PyObject *self, PyObject *bits)
{
    return read_draw(&slots[GETRANDBITS], self, bits, bits);
}

/* An int from 32 bytes of the run's entropy, or NULL with an error. */
static PyObject *
fresh_seed(void)
{
    PyObject *size = PyLong_FromLong(32);
    PyObject *bytes = size == NULL ? NULL : hook_urandom(NULL, size);
    Py_XDECREF(size);
    if (bytes == NULL) {
        return NULL;
    }
    PyObject *number = PyObject_CallMethodObjArgs((PyObject *)&PyLong_Type, str_from_bytes, bytes, str_little, NULL);
    Py_DECREF(bytes);
    return number;
}

/* Random.seed: in a run, "from the system" becomes a seed that the run records. */
static PyObject *
hook_seed(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    Slot *slot = &slots[SEED];
    PyObject *result;
    PyObject *ambient = running_ambient();
    if (ambient == NULL || slots[URANDOM].definition == NULL) {
        Py_XDECREF(ambient);
        CALL_ORIGINAL(result, slot, FastFunction, self, args, nargs);
        return result;
    }
    Py_DECREF(ambient);
    bool given = nargs > 1 || (nargs == 1 && args[0] != Py_None);
    if (!given) {
        PyObject *number = fresh_seed();
        if (number == NULL) {
            return NULL;
        }
        PyObject *seed[1] = {number};
        CALL_ORIGINAL(result, slot, FastFunction, self, seed, 1);
        Py_DECREF(number);
    }
    else {
        CALL_ORIGINAL(result, slot, FastFunction, self, args, nargs);
    }
    if (result != NULL) {
        note_seeded(self, given);
    }
    return result;
}

/* -- verification ------------------------------------------------------------------------------------------------ */

static PyObject *
read_digest(Slot *slot, PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    PyObject *ambient = nargs == 2 ? running_ambient() : NULL;
    PyObject *result;
    if (ambient == NULL) {
        CALL_ORIGINAL(result, slot, FastFunction, self, args, nargs);
        return result;
    }
    if (PyList_CheckExact(ambient)) {
        CALL_WITHIN(result, slot, FastFunction, self, args, nargs);
        if (result != NULL) {
            append_read(ambient, slot, result, false);
        }
    }
    else {
        result = ask(ambient, slot, args[0], args[1]);
        if (result == Py_NotImplemented) {
            Py_DECREF(result);
            CALL_WITHIN(result, slot, FastFunction, self, args, nargs);
        }
    }
    Py_DECREF(ambient);
    return result;
}

static PyObject *
hook_digest(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    return read_digest(&slots[DIGEST], self, args, nargs);
}

static PyObject *
hook_openssl_digest(PyObject *self, PyObject *const *args, Py_ssize_t nargs)
{
    return read_digest(&slots[OPENSSL_DIGEST], self, args, nargs);
}

/* -- installing -------------------------------------------------------------------------------------------------- */

#define HOOK(function) ((PyCFunction)(void (*)(void))(function))

static Slot slots[SLOTS] = {
    [TIME] = {"time", NULL, "time", "time.time", METH_NOARGS, HOOK(hook_time)},
    [TIME_NS] = {"time", NULL, "time_ns", "time.time_ns", METH_NOARGS, HOOK(hook_time_ns)},
    [MONOTONIC] = {"time", NULL, "monotonic", "time.monotonic", METH_NOARGS, HOOK(hook_monotonic)},
    [MONOTONIC_NS] = {"time", NULL, "monotonic_ns", "time.monotonic_ns", METH_NOARGS, HOOK(hook_monotonic_ns)},
    [PERF_COUNTER] = {"time", NULL, "perf_counter", "time.perf_counter", METH_NOARGS, HOOK(hook_perf_counter)},
    [PERF_COUNTER_NS] =
        {"time", NULL, "perf_counter_ns", "time.perf_counter_ns", METH_NOARGS, HOOK(hook_perf_counter_ns)},
    [LOCALTIME] = {"time", NULL, "localtime", "time.localtime", METH_VARARGS, HOOK(hook_localtime)},
    [GMTIME] = {"time", NULL, "gmtime", "time.gmtime", METH_VARARGS, HOOK(hook_gmtime)},
    [CTIME] = {"time", NULL, "ctime", "time.ctime", METH_VARARGS, HOOK(hook_ctime)},
    [ASCTIME] = {"time", NULL, "asctime", "time.asctime", METH_VARARGS, HOOK(hook_asctime)},
    [STRFTIME] = {"time", NULL, "strftime", "time.strftime", METH_VARARGS, HOOK(hook_strftime)},
    [NOW] = {"datetime", "datetime", "now", "datetime.now", METH_FASTCALL | METH_KEYWORDS, HOOK(hook_now)},
    [UTCNOW] = {"datetime", "datetime", "utcnow", "datetime.utcnow", METH_NOARGS, HOOK(hook_utcnow)},
    [TODAY] = {"datetime", "date", "today", "date.today", METH_NOARGS, HOOK(hook_today)},
    [URANDOM] = {"posix", NULL, "urandom", "os.urandom", METH_O, HOOK(hook_urandom)},
    [RANDOM] = {"_random", "Random", "random", "random.random", METH_NOARGS, HOOK(hook_random)},
    [GETRANDBITS] = {"_random", "Random", "getrandbits", "random.getrandbits", METH_O, HOOK(hook_getrandbits)},
    [SEED] = {"_random", "Random", "seed", "random.seed", METH_FASTCALL, HOOK(hook_seed)},
    [UUID_TIME] =
        {"_uuid", NULL, "generate_time_safe", "uuid.generate_time_safe", METH_NOARGS, HOOK(hook_uuid_time)},
    [DIGEST] = {"_operator", NULL, "_compare_digest", "hmac.compare_digest", METH_FASTCALL, HOOK(hook_digest)},
    [OPENSSL_DIGEST] =
        {"_hashlib", NULL, "compare_digest", "hmac.compare_digest", METH_FASTCALL, HOOK(hook_openssl_digest)},
};

/* The definition behind a built-in function or method; NULL, without an error, where this Python has none such. */
static PyMethodDef *
find_definition(const Slot *slot)
{
    PyMethodDef *definition = NULL;
    PyObject *owner = PyImport_ImportModule(slot->module);
    if (owner != NULL && slot->owner != NULL) {
        Py_SETREF(owner, PyObject_GetAttrString(owner, slot->owner));
    }
    PyObject *function = owner == NULL ? NULL : PyObject_GetAttrString(owner, slot->name);
    if (function != NULL && PyCFunction_Check(function)) {
        definition = ((PyCFunctionObject *)function)->m_ml;
    }
    else if (function != NULL && Py_IS_TYPE(function, &PyMethodDescr_Type)) {
        definition = ((PyMethodDescrObject *)function)->d_method;
    }
    if (definition != NULL) {
        int flags = definition->ml_flags & ~(METH_CLASS | METH_STATIC | METH_COEXIST);
        definition = flags == slot->flags ? definition : NULL;
    }
    PyErr_Clear();
    Py_XDECREF(function);
    Py_XDECREF(owner);
    return definition;
}

/* Whether a method is Python's own: it lies in the same shared object as the definition that names it. */
static bool
is_genuine(const PyMethodDef *definition, PyCFunction method)
{
    Dl_info of_definition, of_method;
    return dladdr((const void *)definition, &of_definition) != 0
        && dladdr((const void *)(uintptr_t)method, &of_method) != 0
        && of_definition.dli_fbase == of_method.dli_fbase;
}

/* Put a hook in place. What another interposer has put on top of an earlier install is left alone: it may hold the hook
   as its original, and wrapping it would make a circle. `displaced` names such slots. */
static int
install_slot(Slot *slot)
{
    if (slot->label == NULL && (slot->label = PyUnicode_InternFromString(slot->function)) == NULL) {
        return -1;
    }
    if (slot->definition == NULL && (slot->definition = find_definition(slot)) == NULL) {
        return 0;
    }
    PyCFunction present = slot->definition->ml_meth;
    if (present != slot->hook && (slot->original == NULL || is_genuine(slot->definition, present))) {
        slot->original = present;
        slot->definition->ml_meth = slot->hook;
    }
    return 0;
}

static PyObject *
install(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2 || !PyContextVar_CheckExact(args[0]) || !PyCallable_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "install(lane: ContextVar, is_library: Callable[[str], bool])");
        return NULL;
    }
    if (home != NULL && home != PyInterpreterState_Get()) {
        PyErr_SetString(PyExc_RuntimeError, "another interpreter of this process has installed the clock hooks");
        return NULL;
    }
    PyObject *random = PyImport_ImportModule("random");
    PyObject *instance = random == NULL ? NULL : PyObject_GetAttrString(random, "_inst");
    Py_XDECREF(random);
    if (instance == NULL) {
        return NULL;
    }
    Py_XSETREF(shared_random, instance);
    Py_XSETREF(classify, Py_NewRef(args[1]));
    Py_XSETREF(library_filenames, PyDict_New());
    if (seeded == NULL) {
        seeded = PyDict_New();
    }
    if (library_filenames == NULL || seeded == NULL) {
        return NULL;
    }
    home = PyInterpreterState_Get();
    for (int i = 0; i < SLOTS; i++) {
        if (install_slot(&slots[i]) < 0) {
            return NULL;
        }
    }
    Py_XSETREF(lane_variable, Py_NewRef(args[0]));
    Py_RETURN_NONE;
}

/* Hooks under something that interposed later stay in its chain, where without a lane variable they only pass on. */
static void
remove_hooks(void)
{
    for (int i = 0; i < SLOTS; i++) {
        Slot *slot = &slots[i];
        if (slot->definition != NULL && slot->definition->ml_meth == slot->hook) {
            slot->definition->ml_meth = slot->original;
        }
    }
}

static PyObject *
uninstall(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    remove_hooks();
    Py_CLEAR(lane_variable);
    Py_RETURN_NONE;
}

static PyObject *
is_installed(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return PyBool_FromLong(lane_variable != NULL);
}

static PyObject *
displaced(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    PyObject *names = PyList_New(0);
    for (int i = 0; names != NULL && lane_variable != NULL && i < SLOTS; i++) {
        Slot *slot = &slots[i];
        if (slot->definition != NULL && slot->definition->ml_meth != slot->hook
            && PyList_Append(names, slot->label) < 0) {
            Py_CLEAR(names);
        }
    }
    if (names == NULL) {
        return NULL;
    }
    PyObject *result = PyList_AsTuple(names);
    Py_DECREF(names);
    return result;
}

/* -- FluxRun's own clocks: straight from the system, whatever is interposed --------------------------------------- */

static PyObject *
read_system(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) {
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return PyLong_FromLongLong((int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
}

#ifdef __APPLE__
#define STEADY CLOCK_UPTIME_RAW
#else
#define STEADY CLOCK_MONOTONIC
#endif

static PyObject *
real_time_ns(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return read_system(CLOCK_REALTIME);
}

static PyObject *
real_monotonic_ns(PyObject *Py_UNUSED(module), PyObject *Py_UNUSED(unused))
{
    return read_system(STEADY);
}

/* -- the module -------------------------------------------------------------------------------------------------- */

static PyMethodDef methods[] = {
    {"install", HOOK(install), METH_FASTCALL, PyDoc_STR("Interpose the clock and entropy functions; again: renew.")},
    {"uninstall", uninstall, METH_NOARGS, PyDoc_STR("Take the hooks out again.")},
    {"is_installed", is_installed, METH_NOARGS, PyDoc_STR("Whether install was called and not undone.")},
    {"displaced", displaced, METH_NOARGS, PyDoc_STR("Functions whose hook something else has replaced.")},
    {"follows_from_seed", follows_from_seed_of_run, METH_O, PyDoc_STR("Whether the running session seeded the Random.")},
    {"real_time_ns", real_time_ns, METH_NOARGS, PyDoc_STR("Unix time, nanoseconds, from the system.")},
    {"real_monotonic_ns", real_monotonic_ns, METH_NOARGS, PyDoc_STR("The monotonic clock, nanoseconds.")},
    {"real_perf_counter_ns", real_monotonic_ns, METH_NOARGS, PyDoc_STR("perf_counter's clock, nanoseconds.")},
    {NULL, NULL, 0, NULL},
};

static int
prepare(PyObject *module)
{
    if (PyInterpreterState_Get() != PyInterpreterState_Main()) {
        PyErr_SetString(PyExc_ImportError, "pytest_fluxrun._ambient works in the main interpreter only");
        return -1;
    }
    str_ambient = PyUnicode_InternFromString("ambient");
    str_session = PyUnicode_InternFromString("session");
    str_from_bytes = PyUnicode_InternFromString("from_bytes");
    str_little = PyUnicode_InternFromString("little");
    if (str_ambient == NULL || str_session == NULL || str_from_bytes == NULL || str_little == NULL) {
        return -1;
    }
    return PyModule_AddIntConstant(module, "MOST_READS_PER_LANE", MOST_READS_PER_LANE);
}

/* The interpreter ends: objects may no longer be touched, so the hooks come out and references are left alone. */
static void
at_end(void *Py_UNUSED(module))
{
    remove_hooks();
    lane_variable = NULL;
    home = NULL;
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, prepare},
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_MULTIPLE_INTERPRETERS_NOT_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_ambient", NULL, 0, methods, module_slots, NULL, NULL, at_end,
};

PyMODINIT_FUNC
PyInit__ambient(void)
{
    return PyModuleDef_Init(&definition);
}
