/* The values of many rows in one tuple that the garbage collector needn't look at. `kinds.rows` says why, and does the same
   without this module, slower. Holds no state. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>

static PyObject *
values_of(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t nargs)
{
    if (nargs != 2 || !(PyList_CheckExact(args[0]) || PyTuple_CheckExact(args[0]))) {
        PyErr_SetString(PyExc_TypeError, "values_of takes a list or tuple of rows, and their width");
        return NULL;
    }
    Py_ssize_t width = PyLong_AsSsize_t(args[1]);
    if (width == -1 && PyErr_Occurred()) {
        return NULL;
    }
    PyObject **rows = PySequence_Fast_ITEMS(args[0]);
    Py_ssize_t count = PySequence_Fast_GET_SIZE(args[0]);
    for (Py_ssize_t row = 0; row < count; row++) {
        if (!PyTuple_Check(rows[row]) || PyTuple_GET_SIZE(rows[row]) != width) {
            PyErr_Format(PyExc_ValueError, "row %zd is no tuple of %zd values", row, width);
            return NULL;
        }
    }
    if (width <= 0 || count > PY_SSIZE_T_MAX / width) {
        PyErr_SetString(PyExc_ValueError, "rows have at least one value, and aren't that many");
        return NULL;
    }
    PyObject *values = PyTuple_New(count * width); /* may collect: what is read above is read again below */
    if (values == NULL) {
        return NULL;
    }
    if (PySequence_Fast_GET_SIZE(args[0]) != count) {
        Py_DECREF(values);
        PyErr_SetString(PyExc_RuntimeError, "the rows changed while their values were taken");
        return NULL;
    }
    rows = PySequence_Fast_ITEMS(args[0]);
    bool collectable = false;
    for (Py_ssize_t row = 0, place = 0; row < count; row++) {
        if (!PyTuple_Check(rows[row]) || PyTuple_GET_SIZE(rows[row]) != width) {
            Py_DECREF(values);
            PyErr_SetString(PyExc_RuntimeError, "a row changed while its values were taken");
            return NULL;
        }
        for (Py_ssize_t column = 0; column < width; column++) {
            PyObject *value = PyTuple_GET_ITEM(rows[row], column);
            collectable = collectable || PyObject_IS_GC(value);
            PyTuple_SET_ITEM(values, place++, Py_NewRef(value));
        }
    }
    if (!collectable && count > 0) {
        PyObject_GC_UnTrack(values); /* as the collector would when it first comes by, after a look at each value */
    }
    return values;
}

static PyMethodDef methods[] = {
    {"values_of", (PyCFunction)(void (*)(void))values_of, METH_FASTCALL, PyDoc_STR("The values of rows, one after another.")},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot module_slots[] = {
#if PY_VERSION_HEX >= 0x030c0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

static struct PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "_rows", NULL, 0, methods, module_slots, NULL, NULL, NULL,
};

PyMODINIT_FUNC
PyInit__rows(void)
{
    return PyModuleDef_Init(&definition);
}
